// The runtime on the model of small_model.c, linked in and, where a path is given, loaded from its shared library.
#include <cfenv>
#include <cstring>
#include <thread>
#include <vector>

#include "check.h"
#include "subbyte/cpu_features.h"
#include "subbyte/runtime.h"

extern "C" const subbyte_model* small_model(void);

namespace {

constexpr int kRows = 4, kColumns = 8;

// One call of the model: its operands and what it must answer.
struct Call {
    float x[kRows][kColumns];
    std::uint8_t q[kColumns];
    float y[kRows][kColumns] = {};
    std::uint8_t codes[kColumns] = {};
    float tiny[kRows] = {};
    std::uint16_t half[2] = {};

    explicit Call(int seed) {
        for (int column = 0; column < kColumns; ++column) {
            q[column] = static_cast<std::uint8_t>((seed + column) % 15);
            for (int row = 0; row < kRows; ++row)
                x[row][column] = static_cast<float>(seed * 100 + row * kColumns + column);
        }
    }

    std::vector<const void*> inputs() const { return {x, q}; }
    std::vector<void*> outputs() { return {y, codes, tiny, half}; }

    void run(subbyte::Model& model) { model.run(inputs().data(), outputs().data()); }

    void check() const {
        for (int row = 0; row < kRows; ++row) {
            CHECK(tiny[row] > 0.0f);
            for (int column = 0; column < kColumns; ++column) {
                CHECK(y[row][column] == 2.0f * x[row][column] + static_cast<float>(q[column] - 3));
            }
        }
        CHECK(std::memcmp(codes, q, sizeof q) == 0);
        CHECK(half[0] == 0x3e00 && half[1] == 0xc000);
    }
};

subbyte::Options with_threads(std::int32_t threads) {
    subbyte::Options options;
    options.path = "the linked model";
    options.threads = threads;
    return options;
}

void test_runs(std::int32_t threads) {
    subbyte::Model model(small_model(), with_threads(threads));
    CHECK(model.threads() == threads);
    for (int seed = 0; seed < 200; ++seed) {
        Call call(seed);
        call.run(model);
        call.check();
    }
}

void test_every_thread_has_the_float_environment(std::int32_t threads) {
    subbyte::Model model(small_model(), with_threads(threads));
    std::fesetround(FE_UPWARD);
    Call call(1);
    call.x[1][1] = 1.0f / 3.0f;
    call.run(model);
    CHECK(std::fegetround() == FE_UPWARD);
    std::fesetround(FE_TONEAREST);
    call.check();
}

void test_refusal_names_the_step(std::int32_t threads) {
    subbyte::Model model(small_model(), with_threads(threads));
    for (int again = 0; again < 20; ++again) {
        Call refused(15);
        refused.q[0] = 15;
        check_throws<subbyte::ModelError>([&] { refused.run(model); }, "Step '01_Double'");
        Call sound(again);
        sound.run(model);
        sound.check();
    }
}

void test_one_model_serves_many_threads() {
    subbyte::Model model(small_model(), with_threads(2));
    std::vector<std::thread> callers;
    for (int caller = 0; caller < 4; ++caller) {
        callers.emplace_back([&model, caller] {
            for (int i = 0; i < 50; ++i) {
                Call call(caller * 50 + i);
                call.run(model);
                call.check();
            }
        });
    }
    for (std::thread& caller : callers) caller.join();
}

void test_profile_and_benchmark() {
    subbyte::Model model(small_model(), with_threads(2));
    Call call(3);
    std::vector<std::int64_t> steps = model.profile(call.inputs().data(), call.outputs().data(), 5);
    CHECK(steps.size() == 4);
    for (std::int64_t ns : steps) CHECK(ns >= 0 && ns < 1000000000);
    call.check();
    std::vector<std::int64_t> runs = model.benchmark(call.inputs().data(), call.outputs().data(), 7, 2);
    CHECK(runs.size() == 7);
    for (std::int64_t ns : runs) CHECK(ns > 0);
    check_throws<subbyte::ModelError>([&] { model.profile(call.inputs().data(), call.outputs().data(), 0); }, "not 0");
    check_throws<subbyte::ModelError>([&] { model.benchmark(call.inputs().data(), call.outputs().data(), 1, -1); },
                                      "-1");
}

void test_other_descriptions_are_refused() {
    auto refused = [](subbyte_model changed, const std::string& part) {
        check_throws<std::runtime_error>([&] { subbyte::Model model(&changed, with_threads(1)); }, part);
    };
    const subbyte_model sound = *small_model();
    subbyte_model changed = sound;
    changed.abi_version = SUBBYTE_ABI_VERSION + 1;
    changed.name = reinterpret_cast<const char*>(8);  // a later version may lay the rest out otherwise: it is not read
    refused(changed, "version " + std::to_string(SUBBYTE_ABI_VERSION + 1));
    (changed = sound).struct_bytes -= 8;
    refused(changed, "bytes");
    (changed = sound).name = nullptr;
    refused(changed, "name");
    (changed = sound).features = "sse2 teleport";
    refused(changed, "lacks");
    (changed = sound).digest = "abc";
    refused(changed, "digest");
    (changed = sound).arena_align = 48;
    refused(changed, "48");
    (changed = sound).scratch_bytes = 8;
    refused(changed, "scratch");
    (changed = sound).arena_bytes = static_cast<std::size_t>(-1);
    refused(changed, "arena");
    (changed = sound).input_count = -1;
    refused(changed, "inputs");
    (changed = sound).steps = nullptr;
    refused(changed, "steps");
    subbyte_step step = sound.steps[0];
    step.tiles = 0;
    changed = sound;
    changed.steps = &step;
    changed.step_count = 1;
    refused(changed, "tiles");
    subbyte_tensor tensor = sound.inputs[0];
    changed = sound;
    changed.inputs = &tensor;
    changed.input_count = 1;
    tensor.bytes += 4;
    refused(changed, "132 bytes");
    (tensor = sound.inputs[0]).dtype = 99;
    refused(changed, "dtype 99");
    const std::int64_t huge[] = {std::int64_t{1} << 40, std::int64_t{1} << 40};
    (tensor = sound.inputs[0]).shape = huge;
    refused(changed, "extent");
    (tensor = sound.inputs[1]).scale_count = 2;
    refused(changed, "scales");
}

void test_missing_features_are_listed() {
    char missing[16];
    CHECK(subbyte_missing_features("", missing, sizeof missing) == 0 && missing[0] == '\0');
    CHECK(subbyte_missing_features("  no_1  no_2 ", missing, sizeof missing) == 2);
    CHECK(std::string(missing) == "no_1 no_2");
    CHECK(subbyte_missing_features("no_1 a_very_long_name no_2", missing, sizeof missing) == 3);
    CHECK(std::string(missing) == "no_1 no_2");
    const char* names[SUBBYTE_MAX_FEATURES];
    std::size_t count = subbyte_cpu_features(names);
    for (std::size_t i = 0; i < count; ++i) CHECK(subbyte_missing_features(names[i], missing, sizeof missing) == 0);
    char all[1024];
    subbyte_cpu_feature_names(all, sizeof all);
    CHECK(subbyte_missing_features(all, missing, sizeof missing) == 0);
    std::size_t spaces = 0;
    for (const char* at = all; *at != '\0'; ++at) spaces += *at == ' ';
    CHECK(count == 0 ? all[0] == '\0' : spaces == count - 1);
}

void test_a_model_for_another_processor_is_refused_with_both_lists() {
    subbyte_model changed = *small_model();
    char present[480], message[1280];
    changed.features = "neon no_such_feature dotprod";
    CHECK(subbyte_check_model(&changed, nullptr, message, sizeof message) == SUBBYTE_CHECK_MISFIT);
    subbyte_cpu_feature_names(present, sizeof present);
    const std::string said = message;
    CHECK(said.find("needs neon no_such_feature dotprod;") != std::string::npos);
    CHECK(said.find("no_such_feature") != said.rfind("no_such_feature"));
    CHECK(said.find(present) != std::string::npos);
}

void test_percentiles() {
    std::int64_t samples[] = {50, 10, 40, 20, 30};
    CHECK(subbyte_percentile(samples, 5, 0) == 10);
    CHECK(subbyte_percentile(samples, 5, 50) == 30);
    CHECK(subbyte_percentile(samples, 5, 90) == 50);
    CHECK(subbyte_percentile(samples, 4, 50) == 20);
}

void test_shared_library(const std::string& path) {
    subbyte::Options options = with_threads(2);
    options.path = path;
    options.expected_digest = small_model()->digest;
    for (int again = 0; again < 3; ++again) {
        subbyte::Model model(options), beside(options);
        Call call(again);
        call.run(model);
        call.check();
        call.run(beside);
        call.check();
    }
    options.expected_digest = std::string(64, 'f');
    check_throws<subbyte::ModelError>([&] { subbyte::Model model(options); }, "manifest");
    options.expected_digest.reset();
    options.weights_path = path;
    check_throws<subbyte::ModelError>([&] { subbyte::Model model(options); }, "holds its weights itself");
    options.weights_path.reset();
    options.threads = 0;
    check_throws<subbyte::ModelError>([&] { subbyte::Model model(options); }, "threads");
    options.path = "/";
    check_throws<subbyte::ToolchainError>([&] { subbyte::Model model(options); }, "not a file");
}

}  // namespace

int main(int count, char** values) {
    for (std::int32_t threads : {1, 2, 3, 7}) {
        test_runs(threads);
        test_every_thread_has_the_float_environment(threads);
        test_refusal_names_the_step(threads);
    }
    test_one_model_serves_many_threads();
    test_profile_and_benchmark();
    test_other_descriptions_are_refused();
    test_missing_features_are_listed();
    test_a_model_for_another_processor_is_refused_with_both_lists();
    test_percentiles();
    for (int i = 1; i < count; ++i) test_shared_library(values[i]);
    std::puts("model: ok");
}
