// Included for each instruction by x86_groups_*.h: convolutions of several groups, each as one of x86_sums_body.h.
//
// Before: #define SUBBYTE_DOT avx512vnni (instruction).

#if !defined(SUBBYTE_DOT)
#error "x86_groups_body.h is a part of x86_groups_*.h"
#endif
#define F(stem) SUBBYTE_OF(stem, SUBBYTE_DOT)

// y = N4 of x * w + bias, codes 0..255. w, bias, multiplier and shift: those of a single convolution, one after the other.
// Tiles: images * count.
SUBBYTE_INLINE void F(subbyte_x86_groups_u8s8u8_)(const uint8_t* x, const int8_t* w, const int32_t* bias,
                                                  const float* multiplier, const float* shift, uint8_t* y,
                                                  const struct subbyte_x86_groups* all,
                                                  const struct subbyte_x86_conv* one, int32_t begin, int32_t end,
                                                  void* scratch) {
    const int32_t x_pitch = all->count * all->channels, y_pitch = all->count * all->outputs;
    uint8_t *in = (uint8_t*)scratch, *out = in + all->in_bytes;
    int32_t tile;
    for (tile = begin; tile < end; ++tile) {
        const int32_t image = tile / all->count, group = tile % all->count, lane = group * all->lanes;
        subbyte_x86_copy_pieces(in, all->channels, x + image * all->in_pixels * x_pitch + group * all->channels,
                                x_pitch, all->channels, all->in_pixels);
        F(subbyte_x86_sums_u8s8u8_)(in, w + group * all->weight_bytes, bias + lane, multiplier + lane,
                                    shift ? shift + lane : shift, 0, 0, 0, out, one, 0, all->tiles,
                                    out + all->out_bytes);
        subbyte_x86_copy_pieces(y + image * all->out_pixels * y_pitch + group * all->outputs, y_pitch, out,
                                all->outputs, all->outputs, all->out_pixels);
    }
}

#undef F
#undef SUBBYTE_DOT
