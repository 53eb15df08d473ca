#include <cerrno>
#include <cstring>

#include "subbyte/float_environment.h"
#include "subbyte/runtime.h"

namespace subbyte {
namespace {

void check(const subbyte_model* model, const Options& options) {
    char message[1280];
    const char* digest = options.expected_digest ? options.expected_digest->c_str() : nullptr;
    switch (subbyte_check_model(model, digest, message, sizeof message)) {
        case SUBBYTE_CHECK_OK:
            return;
        case SUBBYTE_CHECK_MISFIT:
            throw ToolchainError("'" + options.path + "' cannot run here: " + message + ".");
        default:
            throw ModelError("'" + options.path + "' is not a sound model: " + message + ".");
    }
}

void check_weights_path(const subbyte_model& model, const Options& options) {
    if (model.weights_bytes > 0 && !options.weights_path) {
        throw ModelError("'" + options.path + "' keeps its weights, " + std::to_string(model.weights_bytes) +
                         " bytes, in a file of their own, and no such file is given.");
    }
    if (model.weights_bytes == 0 && options.weights_path) {
        throw ModelError("'" + options.path + "' holds its weights itself; the file '" + *options.weights_path +
                         "' does not belong to it.");
    }
}

// Other libraries may have changed this thread's float environment; what counts is that ours can be set.
void check_float_environment() {
    subbyte_float_environment saved = subbyte_float_environment_enter();
    bool exact = subbyte_float_environment_is_exact() != 0;
    subbyte_float_environment_leave(saved);
    if (!exact) {
        throw ToolchainError(
            "This processor does not compute float32 with round-to-nearest-even and subnormals, on which the results "
            "of compiled "
            "models rest.");
    }
}

}  // namespace

Model::Model(const Options& options) : library_(std::make_unique<SharedLibrary>(options.path)) {
    model_ = library_->model();
    load(options);
}

Model::Model(const subbyte_model* model, const Options& options) : model_(model) { load(options); }

void Model::load(const Options& options) {
    check(model_, options);
    check_float_environment();
    if (options.threads < 1 || options.threads > SUBBYTE_MAX_THREADS) {
        throw ModelError("A model runs on 1 to " + std::to_string(SUBBYTE_MAX_THREADS) + " threads, not on " +
                         std::to_string(options.threads) + ".");
    }
    check_weights_path(*model_, options);
    if (options.weights_path) weights_ = read_weights(*options.weights_path, model_->weights_bytes);
    arena_ = allocate(subbyte_arena_bytes(model_, options.threads), subbyte_arena_align(model_));
    pool_ = subbyte_pool_create(options.threads);
    if (pool_ == nullptr) {
        throw ToolchainError("The system refuses " + std::to_string(options.threads) +
                             " threads: " + std::strerror(errno) + ".");
    }
}

Model::~Model() { subbyte_pool_destroy(pool_); }

void Model::execute(const void* const* inputs, void* const* outputs, std::int64_t* step_ns) {
    subbyte_context context = subbyte_context_in(model_, arena_.get(), weights_.get(), inputs, outputs);
    subbyte_outcome outcome = subbyte_execute(model_, &context, pool_, step_ns);
    if (outcome.system != 0) {
        throw ToolchainError(std::string("The threads cannot be started in this forked process: ") +
                             std::strerror(outcome.system) + ".");
    }
    if (outcome.code != SUBBYTE_OK) {
        const subbyte_step& step = model_->steps[outcome.step];
        throw ModelError("Step '" + std::string(step.name) + "' of model '" + model_->name + "', which computes " +
                         step.sources + ", failed with code " + std::to_string(outcome.code) + ": " +
                         subbyte_error_text(outcome.code) + ".");
    }
}

void Model::run(const void* const* inputs, void* const* outputs) {
    std::lock_guard<std::mutex> lock(mutex_);
    execute(inputs, outputs, nullptr);
}

std::vector<std::int64_t> Model::profile(const void* const* inputs, void* const* outputs, std::int32_t repeats) {
    if (repeats < 1) throw ModelError("A profile needs at least 1 inference, not " + std::to_string(repeats) + ".");
    std::lock_guard<std::mutex> lock(mutex_);
    auto steps = static_cast<std::size_t>(model_->step_count);
    std::vector<std::vector<std::int64_t>> samples(steps);
    std::vector<std::int64_t> once(steps), medians;
    for (std::int32_t i = 0; i < repeats; ++i) {
        execute(inputs, outputs, once.data());
        for (std::size_t step = 0; step < steps; ++step) samples[step].push_back(once[step]);
    }
    for (auto& of_step : samples) medians.push_back(subbyte_percentile(of_step.data(), of_step.size(), 50));
    return medians;
}

std::vector<std::int64_t> Model::benchmark(const void* const* inputs, void* const* outputs, std::int32_t repeats,
                                           std::int32_t warmup) {
    if (repeats < 1 || warmup < 0) {
        throw ModelError("A benchmark needs at least 1 inference after at least 0 to warm up, not " +
                         std::to_string(repeats) + " after " + std::to_string(warmup) + ".");
    }
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::int64_t> samples;
    samples.reserve(static_cast<std::size_t>(repeats));
    for (std::int32_t i = 0; i < warmup; ++i) execute(inputs, outputs, nullptr);
    for (std::int32_t i = 0; i < repeats; ++i) {
        std::int64_t begin = subbyte_now_ns();
        execute(inputs, outputs, nullptr);
        samples.push_back(subbyte_now_ns() - begin);
    }
    return samples;
}

}  // namespace subbyte
