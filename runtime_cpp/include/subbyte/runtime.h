// Runs compiled models: loads a bundle's libmodel.so, checks it, owns its memory and threads. C++17.
//
//   subbyte::Model model({"bundle/libmodel.so"});
//   model.run(inputs, outputs);            // pointers in the order of model.description().inputs and .outputs
#ifndef SUBBYTE_RUNTIME_H
#define SUBBYTE_RUNTIME_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "subbyte/execute.h"
#include "subbyte/pool.h"
#include "subbyte/subbyte_model.h"

namespace subbyte {

// The model or the data given to it is broken.
class ModelError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// A library does not load, or does not fit this runtime, this processor or this system.
class ToolchainError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

struct FreeMemory {
    void operator()(unsigned char* memory) const noexcept;
};
using Memory = std::unique_ptr<unsigned char[], FreeMemory>;

// `bytes` of zeros aligned to `align`, a power of two. Throws std::bad_alloc.
Memory allocate(std::size_t bytes, std::size_t align);

// The content of a file in memory aligned to 64. Throws ModelError unless it has exactly `bytes`.
Memory read_weights(const std::string& path, std::size_t bytes);

// A shared library with a model in it. The file at `path` may be replaced later, and loaded again beside this one.
class SharedLibrary {
  public:
    // Throws ToolchainError: not a whole library for this processor, or without a model's entry.
    explicit SharedLibrary(const std::string& path);
    ~SharedLibrary();
    SharedLibrary(const SharedLibrary&) = delete;
    SharedLibrary& operator=(const SharedLibrary&) = delete;

    // As the library describes it: not checked yet.
    const subbyte_model* model() const { return model_; }

  private:
    int file_ = -1;
    void* handle_ = nullptr;
    const subbyte_model* model_ = nullptr;
};

// What a model is loaded from and with.
struct Options {
    std::string path;                            // of libmodel.so
    std::optional<std::string> weights_path;     // of weights.bin, where the model keeps its weights in a file
    std::optional<std::string> expected_digest;  // from the manifest
    std::int32_t threads = 1;
};

// A loaded model with an arena and a pool of its own. run, profile and benchmark may be called from any thread; calls
// on one Model run one after the other (load it twice to run two at once).
class Model {
  public:
    // Throws ModelError and ToolchainError as subbyte_check_model says, std::bad_alloc.
    explicit Model(const Options& options);
    // A model linked into the program; `path` names it in messages.
    Model(const subbyte_model* model, const Options& options);
    ~Model();
    Model(const Model&) = delete;
    Model& operator=(const Model&) = delete;

    const subbyte_model& description() const { return *model_; }
    std::int32_t threads() const { return subbyte_pool_threads(pool_); }

    // One inference. `inputs` and `outputs` point to the tensors of the description, in its order.
    // Throws ModelError: a step refused its operands.
    void run(const void* const* inputs, void* const* outputs);

    // The median wall time of each step over `repeats` inferences, in nanoseconds.
    std::vector<std::int64_t> profile(const void* const* inputs, void* const* outputs, std::int32_t repeats);

    // The wall time of each of `repeats` inferences, in nanoseconds, after `warmup` that are not counted.
    std::vector<std::int64_t> benchmark(const void* const* inputs, void* const* outputs, std::int32_t repeats,
                                        std::int32_t warmup);

  private:
    void load(const Options& options);
    void execute(const void* const* inputs, void* const* outputs, std::int64_t* step_ns);

    std::unique_ptr<SharedLibrary> library_;
    const subbyte_model* model_ = nullptr;
    Memory arena_;
    Memory weights_;
    subbyte_pool* pool_ = nullptr;
    std::mutex mutex_;
};

}  // namespace subbyte

#endif
