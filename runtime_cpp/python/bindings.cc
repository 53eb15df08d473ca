// subbyte.compiler._runtime: the C++ runtime as a Python module. NumPy arrays in, NumPy arrays out, nothing copied;
// the GIL is released while a model runs.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "subbyte/cpu_features.h"
#include "subbyte/runtime.h"

namespace py = pybind11;

namespace {

// The arrays of one call, held while it lasts, and where their elements are. Calls of few arrays allocate nothing.
class Operands {
  public:
    explicit Operands(std::size_t count) {
        if (count > kFew) {
            more_arrays_.resize(count);
            more_data_.resize(count);
            arrays_ = more_arrays_.data();
            data_ = more_data_.data();
        }
    }
    Operands(const Operands&) = delete;
    Operands& operator=(const Operands&) = delete;

    void push_back(py::array array, void* data) {
        data_[count_] = data;
        arrays_[count_++] = std::move(array);
    }
    std::size_t size() const { return count_; }
    py::array operator[](std::size_t i) const { return py::reinterpret_borrow<py::array>(arrays_[i]); }
    std::size_t bytes(std::size_t i) const { return static_cast<std::size_t>((*this)[i].nbytes()); }
    void* const* data() const { return data_; }

  private:
    static constexpr std::size_t kFew = 8;
    py::object few_arrays_[kFew];
    void* few_data_[kFew];
    std::vector<py::object> more_arrays_;
    std::vector<void*> more_data_;
    py::object* arrays_ = few_arrays_;
    void** data_ = few_data_;
    std::size_t count_ = 0;
};

const char* numpy_name(std::int32_t dtype) {
    switch (dtype) {
        case SUBBYTE_BOOL:
            return "bool";
        case SUBBYTE_INT8:
            return "int8";
        case SUBBYTE_UINT8:
            return "uint8";
        case SUBBYTE_INT16:
            return "int16";
        case SUBBYTE_UINT16:
            return "uint16";
        case SUBBYTE_INT32:
            return "int32";
        case SUBBYTE_UINT32:
            return "uint32";
        case SUBBYTE_INT64:
            return "int64";
        case SUBBYTE_UINT64:
            return "uint64";
        case SUBBYTE_FLOAT16:
            return "float16";
        case SUBBYTE_FLOAT32:
            return "float32";
        default:
            return "float64";  // no other number passes subbyte_check_model
    }
}

std::string shape_text(const std::vector<py::ssize_t>& shape) {
    std::string text = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
    return text + (shape.size() == 1 ? ",)" : ")");
}

// What the binding keeps of a model beside the model: its signature in Python's terms.
class LoadedModel {
  public:
    LoadedModel(std::string path, std::optional<std::string> weights_path, std::optional<std::string> expected_digest,
                std::int32_t threads)
        : model_(subbyte::Options{std::move(path), std::move(weights_path), std::move(expected_digest), threads}) {
        const subbyte_model& model = model_.description();
        for (std::int32_t i = 0; i < model.input_count; ++i) inputs_.emplace_back(model.inputs[i]);
        for (std::int32_t i = 0; i < model.output_count; ++i) outputs_.emplace_back(model.outputs[i]);
    }

    const subbyte_model& description() const { return model_.description(); }
    std::int32_t threads() const { return model_.threads(); }
    py::list inputs() const { return described(inputs_); }
    py::list outputs() const { return described(outputs_); }

    py::list run(const py::sequence& inputs) {
        Operands results(outputs_.size()), arrays(inputs_.size());
        allocate_outputs(results);
        check(inputs, inputs_, "input", arrays);
        {
            py::gil_scoped_release release;
            model_.run(arrays.data(), results.data());
        }
        py::list list(results.size());
        for (std::size_t i = 0; i < results.size(); ++i) list[i] = results[i];
        return list;
    }

    void run_into(const py::sequence& inputs, const py::sequence& outputs) {
        Operands results(outputs_.size()), arrays(inputs_.size());
        take(inputs, outputs, arrays, results);
        call(arrays, results);
    }

    // Checks the arrays of a call and adds them to `arrays` and `results`.
    void take(const py::sequence& inputs, const py::sequence& outputs, Operands& arrays, Operands& results) const {
        check(outputs, outputs_, "output", results);
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (!results[i].writeable())
                throw subbyte::ModelError("Output '" + outputs_[i].name + "' is a read-only array.");
        }
        check(inputs, inputs_, "input", arrays);
        check_no_overlap(arrays, results);
    }

    void call(const Operands& arrays, const Operands& results) {
        py::gil_scoped_release release;
        model_.run(arrays.data(), results.data());
    }

    py::list profile(const py::sequence& inputs, std::int32_t repeats) {
        Operands results(outputs_.size()), arrays(inputs_.size());
        allocate_outputs(results);
        check(inputs, inputs_, "input", arrays);
        std::vector<std::int64_t> medians;
        {
            py::gil_scoped_release release;
            medians = model_.profile(arrays.data(), results.data(), repeats);
        }
        py::list steps;
        for (std::size_t i = 0; i < medians.size(); ++i) {
            const subbyte_step& step = description().steps[i];
            steps.append(py::dict(py::arg("name") = step.name, py::arg("sources") = step.sources,
                                  py::arg("kernel") = step.kernel, py::arg("macs") = step.macs,
                                  py::arg("bytes") = step.bytes, py::arg("tiles") = step.tiles,
                                  py::arg("median_ns") = medians[i]));
        }
        return steps;
    }

    std::vector<std::int64_t> benchmark(const py::sequence& inputs, std::int32_t repeats, std::int32_t warmup) {
        Operands results(outputs_.size()), arrays(inputs_.size());
        allocate_outputs(results);
        check(inputs, inputs_, "input", arrays);
        py::gil_scoped_release release;
        return model_.benchmark(arrays.data(), results.data(), repeats, warmup);
    }

  private:
    struct Tensor {
        explicit Tensor(const subbyte_tensor& from)
            : tensor(&from),
              name(from.name),
              dtype(numpy_name(from.dtype)),
              shape(from.shape, from.shape + from.rank) {}
        const subbyte_tensor* tensor;
        std::string name;
        py::dtype dtype;
        std::vector<py::ssize_t> shape;
    };

    static py::list described(const std::vector<Tensor>& tensors) {
        py::list list;
        for (const Tensor& tensor : tensors) {
            const subbyte_tensor& from = *tensor.tensor;
            py::dict entry(py::arg("name") = tensor.name, py::arg("code") = from.code,
                           py::arg("dtype") = numpy_name(from.dtype),
                           py::arg("shape") = py::tuple(py::cast(tensor.shape)), py::arg("scale") = py::none(),
                           py::arg("zero_point") = py::none(), py::arg("axis") = py::none());
            if (from.scale_count > 0) {
                entry["scale"] = std::vector<float>(from.scale, from.scale + from.scale_count);
                entry["zero_point"] = std::vector<std::int32_t>(from.zero_point, from.zero_point + from.scale_count);
                if (from.scale_count > 1) entry["axis"] = from.axis;
            }
            list.append(entry);
        }
        return list;
    }

    static constexpr int kUsable = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;

    // Whether an array is what the model takes; `refuse` says why not.
    static bool fits(const py::array& array, const Tensor& tensor) {
        return (array.dtype().is(tensor.dtype) || array.dtype().equal(tensor.dtype)) &&
               array.ndim() == static_cast<py::ssize_t>(tensor.shape.size()) &&
               std::equal(tensor.shape.begin(), tensor.shape.end(), array.shape()) &&
               (array.flags() & kUsable) == kUsable;
    }

    [[noreturn]] static void refuse(const py::handle& value, const Tensor& tensor, const std::string& role) {
        std::string what = role + " '" + tensor.name + "'";
        what[0] = static_cast<char>(what[0] - 'a' + 'A');
        if (!py::isinstance<py::array>(value)) {
            throw subbyte::ModelError(what + " is a " +
                                      py::str(py::type::handle_of(value).attr("__name__")).cast<std::string>() +
                                      "; a NumPy array is expected.");
        }
        auto array = py::reinterpret_borrow<py::array>(value);
        if (!array.dtype().equal(tensor.dtype)) {
            throw subbyte::ModelError(what + " is of dtype " + py::str(array.dtype()).cast<std::string>() + "; " +
                                      py::str(tensor.dtype).cast<std::string>() + " is expected.");
        }
        std::vector<py::ssize_t> shape(array.shape(), array.shape() + array.ndim());
        if (shape != tensor.shape) {
            throw subbyte::ModelError(what + " has the shape " + shape_text(shape) + "; " + shape_text(tensor.shape) +
                                      " is expected.");
        }
        throw subbyte::ModelError(what + " is not a contiguous and aligned array; numpy.ascontiguousarray makes one.");
    }

    // Adds the arrays of a call to `operands`. The model writes to those that are given as outputs alone.
    static void check(const py::sequence& values, const std::vector<Tensor>& tensors, const char* role,
                      Operands& operands) {
        if (values.size() != tensors.size()) {
            throw subbyte::ModelError("The model has " + std::to_string(tensors.size()) + " " + role + "s; " +
                                      std::to_string(values.size()) + " were given.");
        }
        for (std::size_t i = 0; i < tensors.size(); ++i) {
            py::object value = values[i];
            if (!py::isinstance<py::array>(value)) refuse(value, tensors[i], role);
            auto array = py::reinterpret_steal<py::array>(value.release());
            if (!fits(array, tensors[i])) refuse(array, tensors[i], role);
            void* data = const_cast<void*>(array.data());
            operands.push_back(std::move(array), data);
        }
    }

    void allocate_outputs(Operands& results) const {
        for (const Tensor& tensor : outputs_) {
            py::array array(tensor.dtype, tensor.shape);
            void* data = array.mutable_data();
            results.push_back(std::move(array), data);
        }
    }

    static bool overlap(const Operands& a, std::size_t i, const Operands& b, std::size_t j) {
        auto a_begin = reinterpret_cast<std::uintptr_t>(a.data()[i]);
        auto b_begin = reinterpret_cast<std::uintptr_t>(b.data()[j]);
        return a_begin < b_begin + b.bytes(j) && b_begin < a_begin + a.bytes(i);
    }

    void check_no_overlap(const Operands& arrays, const Operands& results) const {
        for (std::size_t i = 0; i < results.size(); ++i) {
            bool found = false;
            for (std::size_t j = 0; j < arrays.size(); ++j) found = found || overlap(results, i, arrays, j);
            for (std::size_t j = 0; j < i; ++j) found = found || overlap(results, i, results, j);
            if (found) {
                throw subbyte::ModelError("Output '" + outputs_[i].name +
                                          "' shares memory with another array of the call.");
            }
        }
    }

    subbyte::Model model_;
    std::vector<Tensor> inputs_;
    std::vector<Tensor> outputs_;
};

// A model with the arrays of its calls, checked once. It holds them all.
class BoundCall {
  public:
    BoundCall(py::object model, const py::sequence& inputs, const py::sequence& outputs)
        : held_(std::move(model)),
          model_(held_.cast<LoadedModel&>()),
          arrays_(py::len(inputs)),
          results_(py::len(outputs)) {
        model_.take(inputs, outputs, arrays_, results_);
    }

    void run() { model_.call(arrays_, results_); }

  private:
    py::object held_;
    LoadedModel& model_;
    Operands arrays_, results_;
};

std::vector<std::string> cpu_features() {
    const char* names[SUBBYTE_MAX_FEATURES];
    std::size_t count = subbyte_cpu_features(names);
    return {names, names + count};
}

}  // namespace

PYBIND11_MODULE(_runtime, module) {
    module.doc() = "Loads and runs compiled models; subbyte.compiler.runtime is its face.";
    module.attr("ABI_VERSION") = SUBBYTE_ABI_VERSION;

    // The errors of the C++ runtime are those of subbyte.compiler.errors.
    static py::handle model_error, toolchain_error;
    py::module_ errors = py::module_::import("subbyte.compiler.errors");
    model_error = py::object(errors.attr("ModelError")).release();
    toolchain_error = py::object(errors.attr("ToolchainError")).release();
    py::register_local_exception_translator([](std::exception_ptr error) {
        try {
            if (error) std::rethrow_exception(error);
        } catch (const subbyte::ModelError& found) {
            PyErr_SetString(model_error.ptr(), found.what());
        } catch (const subbyte::ToolchainError& found) {
            PyErr_SetString(toolchain_error.ptr(), found.what());
        }
    });

    module.def("cpu_features", &cpu_features, "Names, in LLVM's spelling, of what this processor can do.");

    py::class_<BoundCall>(module, "BoundCall", "A model and the arrays that it reads and writes; LoadedModel.bind.")
        .def("__call__", &BoundCall::run, "Run the model once.");

    py::class_<LoadedModel>(module, "LoadedModel", R"(A compiled model, loaded and checked.

Calls on one LoadedModel run one after the other; load it twice to run two at once.)")
        .def(py::init<std::string, std::optional<std::string>, std::optional<std::string>, std::int32_t>(),
             py::arg("path"), py::arg("weights_path") = py::none(), py::arg("expected_digest") = py::none(),
             py::arg("threads") = 1)
        .def("run", &LoadedModel::run, py::arg("inputs"),
             "Arrays in the order of `inputs` -> new arrays in that of `outputs`.")
        .def("run_into", &LoadedModel::run_into, py::arg("inputs"), py::arg("outputs"),
             "The same into arrays of the caller.")
        .def(
            "bind",
            [](py::object model, const py::sequence& inputs, const py::sequence& outputs) {
                return std::make_unique<BoundCall>(std::move(model), inputs, outputs);
            },
            py::arg("inputs"), py::arg("outputs"),
            "run_into for these arrays: they are checked now, and each call of the result reads and writes them. They "
            "must keep their memory: no resize.")
        .def("profile", &LoadedModel::profile, py::arg("inputs"), py::arg("repeats") = 1,
             "A dict for each step: name, sources, kernel, macs, bytes, tiles, median_ns.")
        .def("benchmark", &LoadedModel::benchmark, py::arg("inputs"), py::arg("repeats"), py::arg("warmup") = 0,
             "Nanoseconds of each of `repeats` inferences.")
        .def_property_readonly("inputs", &LoadedModel::inputs)
        .def_property_readonly("outputs", &LoadedModel::outputs)
        .def_property_readonly("threads", &LoadedModel::threads)
        .def_property_readonly("name", [](const LoadedModel& model) { return model.description().name; })
        .def_property_readonly("target", [](const LoadedModel& model) { return model.description().target; })
        .def_property_readonly("features", [](const LoadedModel& model) { return model.description().features; })
        .def_property_readonly("digest", [](const LoadedModel& model) { return model.description().digest; })
        .def_property_readonly("arena_bytes", [](const LoadedModel& model) { return model.description().arena_bytes; })
        .def_property_readonly("scratch_bytes",
                               [](const LoadedModel& model) { return model.description().scratch_bytes; })
        .def_property_readonly("weights_bytes",
                               [](const LoadedModel& model) { return model.description().weights_bytes; });
}
