/* small: compiled by subbyte for portable. */
#include "model.h"

#include <string.h>

#include "kernels/subbyte_environment.h"
#include "kernels/conv.h"
#include "kernels/data_movement.h"
#include "kernels/gemm.h"
#include "kernels/quantization.h"

/* In the order in which the steps use them. */
static const struct {
  float scale_00_QuantizeLinear[1] SUBBYTE_ALIGN(64);
  int32_t zero_point_00_QuantizeLinear[1] SUBBYTE_ALIGN(64);
  int8_t weights_02_QConv[54] SUBBYTE_ALIGN(64);
  int32_t bias_02_QConv[3] SUBBYTE_ALIGN(64);
  float multiplier_02_QConv[3] SUBBYTE_ALIGN(64);
  int16_t table_02_QConv[256] SUBBYTE_ALIGN(64);
  int8_t weights_04_QGemm[96] SUBBYTE_ALIGN(64);
  float multiplier_04_QGemm[1] SUBBYTE_ALIGN(64);
  int32_t matrices_of_a_04_QGemm[1] SUBBYTE_ALIGN(64);
  float scale_05_DequantizeLinear[1] SUBBYTE_ALIGN(64);
} small_constants = {
  /* scale_00_QuantizeLinear: row_major, 1 */
  {
    0x1.99999a0000000p-5f,
  },
  /* zero_point_00_QuantizeLinear: row_major, 1 */
  {
    -3,
  },
  /* weights_02_QConv: ohwi, 3 x 3 x 3 x 2 */
  {
    11, -22, -54, -90, 101, 47, 113, 60, 41, 77, -63, 47, -122, 101, 32, -30, 21, 121, -118, 85, 20, 43, -33, -83,
    -42, 39, 19, -71, 70, -59, -62, -47, -89, -73, -22, -114, 25, -78, 50, 33, 87, 95, -52, -16, -76, 44, -89, 33,
    122, 105, -56, -90, 87, -111,
  },
  /* bias_02_QConv: row_major, 3 */
  {
    -1, 321, -369,
  },
  /* multiplier_02_QConv: row_major, 3 */
  {
    0x1.99999c0000000p-7f, 0x1.99999c0000000p-6f, 0x1.3333340000000p-6f,
  },
  /* table_02_QConv: row_major, 1 x 256 */
  {
    -128, -127, -126, -125, -124, -124, -123, -122, -121, -120, -119, -118, -117, -116, -116, -115, -114, -113,
    -112, -111, -110, -109, -108, -108, -107, -106, -105, -104, -103, -102, -101, -100, -100, -99, -98, -97, -96,
    -95, -94, -93, -92, -92, -91, -90, -89, -88, -87, -86, -85, -84, -84, -83, -82, -81, -80, -79, -78, -77, -76,
    -76, -75, -74, -73, -72, -71, -70, -69, -68, -68, -67, -66, -65, -64, -63, -62, -61, -60, -60, -59, -58, -57,
    -56, -55, -54, -53, -52, -52, -51, -50, -49, -48, -47, -46, -45, -44, -44, -43, -42, -41, -40, -39, -38, -37,
    -36, -36, -35, -34, -33, -32, -31, -30, -29, -28, -28, -27, -26, -25, -24, -23, -22, -21, -20, -20, -19, -18,
    -17, -16, -15, -14, -13, -12, -12, -11, -10, -9, -8, -7, -6, -5, -4, -4, -3, -2, -1, 0, 1, 2, 3, 4, 4, 5, 6, 7,
    8, 9, 10, 11, 12, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20, 21, 22, 23, 24, 25, 26, 27, 28, 28, 29, 30, 31, 32,
    33, 34, 35, 36, 36, 37, 38, 39, 40, 41, 42, 43, 44, 44, 45, 46, 47, 48, 49, 50, 51, 52, 52, 53, 54, 55, 56, 57,
    58, 59, 60, 60, 61, 62, 63, 64, 65, 66, 67, 68, 68, 69, 70, 71, 72, 73, 74, 75, 76, 76, 77, 78, 79, 80, 81, 82,
    83, 84, 84, 85, 86, 87, 88, 89, 90, 91, 92, 92, 93, 94, 95, 96, 97, 98, 99,
  },
  /* weights_04_QGemm: nk, 2 x 48 */
  {
    121, -116, -95, -4, 71, 74, -56, -125, -6, 19, 5, -13, 34, -58, 112, -81, -97, -65, 18, 14, -47, 112, -98, -25,
    -97, -86, 13, -95, 33, 50, -21, -21, -56, 89, -29, 67, -69, 107, 55, -59, -46, -57, -18, -51, -125, -84, 105,
    -38, 61, 76, -71, -98, 21, -9, 92, 81, 8, -51, -46, -41, 102, -57, -66, 56, -94, -63, 69, 125, 5, -15, 119, -6,
    -109, 1, 8, 21, -128, 13, -93, 2, -101, 126, -115, 78, 100, 74, -81, 51, -93, 31, -7, -41, -2, 125, 97, -9,
  },
  /* multiplier_04_QGemm: row_major, 1 */
  {
    0x1.70a3d80000000p-4f,
  },
  /* matrices_of_a_04_QGemm: row_major, 1 */
  {
    0,
  },
  /* scale_05_DequantizeLinear: row_major, 1 */
  {
    0x1.eb851e0000000p-6f,
  },
};

static const struct subbyte_affine small_shape_00_QuantizeLinear_0 = {
    .x_type = 9, .y_type = 1, .channels = 1, .inner = 32, .elements = 32, .chunk = 2048, .qmin = -128, .qmax = 127,
    .rounding = 0, .zero_point_first = 0,
};

static const struct subbyte_copy small_shape_01_Repack_1 = {
    .extents = {1, 1, 1, 1, 1, 1, 16, 2}, .strides = {0, 0, 0, 0, 0, 0, 1, 16}, .start = 0, .bytes = 1,
};

static const struct subbyte_conv small_shape_02_QConv_2 = {
    .type = 1, .zero_point = -3, .height = 4, .width = 4, .channels = 2, .out_height = 4, .out_width = 4,
    .out_channels = 3, .group = 1, .kernel_height = 3, .kernel_width = 3, .stride_height = 1, .stride_width = 1,
    .pad_top = 1, .pad_left = 1, .dilation_height = 1, .dilation_width = 1, .transposed = 0,
};

static const struct subbyte_epilogue small_shape_02_QConv_3 = {
    .type = 1, .per_channel = 1, .zero_point = -128, .qmin = -128, .qmax = 127, .count = 0, .rows = 0,
    .short_steps = 0, .entries = 256, .results_per_channel = 0,
};

static const struct subbyte_copy small_shape_03_Repack_4 = {
    .extents = {1, 1, 1, 1, 1, 1, 3, 16}, .strides = {0, 0, 0, 0, 0, 0, 1, 3}, .start = 0, .bytes = 1,
};

static const struct subbyte_gemm small_shape_04_QGemm_5 = {
    .a_type = 1, .a_zero = -128, .rows = 1, .columns = 2, .depth = 48,
};

static const struct subbyte_epilogue small_shape_04_QGemm_6 = {
    .type = 1, .per_channel = 0, .zero_point = 0, .qmin = -128, .qmax = 127, .count = 0, .rows = 0,
    .short_steps = 0, .entries = 0, .results_per_channel = 0,
};

static const struct subbyte_affine small_shape_05_DequantizeLinear_7 = {
    .x_type = 1, .y_type = 9, .channels = 1, .inner = 2, .elements = 2, .chunk = 2048, .qmin = -128, .qmax = 127,
    .rounding = 0, .zero_point_first = 0,
};

/* x_q_quantize */
static int32_t small_step_00_QuantizeLinear(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  (void)thread;
  subbyte_quantize_linear((const float *)context->inputs[0], (int8_t *)(void *)(context->arena + 0), small_constants.scale_00_QuantizeLinear, small_constants.zero_point_00_QuantizeLinear, &small_shape_00_QuantizeLinear_0, begin, end);
  return SUBBYTE_OK;
}

/* of no node of the model */
static int32_t small_step_01_Repack(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  (void)thread;
  subbyte_copy((const int8_t *)(const void *)(context->arena + 0), (int8_t *)(void *)(context->arena + 64), &small_shape_01_Repack_1, begin, end);
  return SUBBYTE_OK;
}

/* conv + relu + y_q_quantize + add + sum_q_quantize */
static int32_t small_step_02_QConv(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  subbyte_conv_s16s8s32((const int8_t *)(const void *)(context->arena + 64), small_constants.weights_02_QConv, small_constants.bias_02_QConv, small_constants.multiplier_02_QConv, 0, 0, small_constants.table_02_QConv, (int8_t *)(void *)(context->arena + 0), &small_shape_02_QConv_2, &small_shape_02_QConv_3, begin, end, context->scratch + (size_t)thread * 128);
  return SUBBYTE_OK;
}

/* of no node of the model */
static int32_t small_step_03_Repack(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  (void)thread;
  subbyte_copy((const int8_t *)(const void *)(context->arena + 0), (int8_t *)(void *)(context->arena + 64), &small_shape_03_Repack_4, begin, end);
  return SUBBYTE_OK;
}

/* product + product_q_quantize */
static int32_t small_step_04_QGemm(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  subbyte_gemm_s16s8s32((const int8_t *)(const void *)(context->arena + 64), small_constants.weights_04_QGemm, 0, small_constants.multiplier_04_QGemm, 0, 0, 0, (int8_t *)(void *)(context->arena + 0), small_constants.matrices_of_a_04_QGemm, small_constants.matrices_of_a_04_QGemm, &small_shape_04_QGemm_5, &small_shape_04_QGemm_6, begin, end, context->scratch + (size_t)thread * 128);
  return SUBBYTE_OK;
}

/* out_dequantize */
static int32_t small_step_05_DequantizeLinear(const subbyte_context *context, int32_t begin, int32_t end, int32_t thread) {
  (void)thread;
  subbyte_dequantize_linear((const int8_t *)(const void *)(context->arena + 0), (float *)context->outputs[0], small_constants.scale_05_DequantizeLinear, small_constants.matrices_of_a_04_QGemm, &small_shape_05_DequantizeLinear_7, begin, end);
  return SUBBYTE_OK;
}

static const int64_t small_inputs_0_shape[] = {1, 2, 4, 4};

static const subbyte_tensor small_inputs[] = {
    {"x", "float32", SUBBYTE_FLOAT32, 4, small_inputs_0_shape, 128, 0, 0, 0, 0},
};

static const int64_t small_outputs_0_shape[] = {1, 2};

static const subbyte_tensor small_outputs[] = {
    {"out", "float32", SUBBYTE_FLOAT32, 2, small_outputs_0_shape, 8, 0, 0, 0, 0},
};

static const subbyte_step small_steps[] = {
    {"00_QuantizeLinear", "x_q_quantize",
     "subbyte_quantize_linear", 0, 168, 1, small_step_00_QuantizeLinear},
    {"01_Repack", "",
     "subbyte_copy", 0, 64, 16, small_step_01_Repack},
    {"02_QConv", "conv + relu + y_q_quantize + add + sum_q_quantize",
     "subbyte_conv_s16s8s32", 864, 670, 4, small_step_02_QConv},
    {"03_Repack", "",
     "subbyte_copy", 0, 96, 3, small_step_03_Repack},
    {"04_QGemm", "product + product_q_quantize",
     "subbyte_gemm_s16s8s32", 96, 158, 1, small_step_04_QGemm},
    {"05_DequantizeLinear", "out_dequantize",
     "subbyte_dequantize_linear", 0, 18, 1, small_step_05_DequantizeLinear},
};

static const subbyte_model small_itself = {
    .abi_version = SUBBYTE_ABI_VERSION,
    .struct_bytes = (int32_t)sizeof(subbyte_model),
    .name = "small",
    .target = "portable",
    .features = "",
    .digest = "4374215eba246b937b279d3ac1cf40527926d60570042c956dc686f42ac59bac",
    .input_count = 1,
    .inputs = small_inputs,
    .output_count = 1,
    .outputs = small_outputs,
    .step_count = 6,
    .steps = small_steps,
    .arena_bytes = 128,
    .arena_align = 64,
    .scratch_bytes = 128,
    .weights_bytes = 0,
};

const subbyte_model *small_model(void) { return &small_itself; }

#ifndef SUBBYTE_MODEL_GET /* of several models in one file, it gives the first */
#define SUBBYTE_MODEL_GET
SUBBYTE_WEAK const subbyte_model *subbyte_model_get(void) { return &small_itself; }
#endif

int small_run(const float *x, float *out, void *arena) {
  const void *inputs[1];
  void *outputs[1];
  subbyte_context context;
  if (!x || !out || !arena) return SUBBYTE_ERROR_NULL;
  if ((uintptr_t)arena % 64 != 0) return SUBBYTE_ERROR_ALIGNMENT;
  if (!subbyte_float_environment_is_default()) return SUBBYTE_ERROR_FLOAT_ENVIRONMENT;
  inputs[0] = x;
  outputs[0] = out;
  context.inputs = inputs;
  context.outputs = outputs;
  context.arena = (unsigned char *)arena;
  context.weights = 0;
  context.scratch = (unsigned char *)arena + 128;
  small_step_00_QuantizeLinear(&context, 0, 1, 0);
  small_step_01_Repack(&context, 0, 16, 0);
  small_step_02_QConv(&context, 0, 4, 0);
  small_step_03_Repack(&context, 0, 3, 0);
  small_step_04_QGemm(&context, 0, 1, 0);
  small_step_05_DequantizeLinear(&context, 0, 1, 0);
  return SUBBYTE_OK;
}
