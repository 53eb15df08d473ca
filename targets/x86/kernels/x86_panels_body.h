// Part of the bodies that sum products group by group: the weights of a panel.
//
// Before: x86_sums_names.h.

// Bytes of a vector of weights, which are bytes or, with SUBBYTE_WORDS 2, words.
enum { F(SUBBYTE_X86_STORED_) = LANES * GROUP * (SUBBYTE_WORDS == 2 ? 2 : 1) };

// Bytes of the weights of a panel: [runs][groups][vectors][LANES][GROUP].
SUBBYTE_INLINE int32_t F(subbyte_x86_panel_bytes_)(const struct subbyte_x86_conv* g) {
    const int32_t taps = g->dilation_width == 1 ? 1 : g->kernel_width;
    const int32_t run = g->dilation_width == 1 ? g->kernel_width * g->channels : g->channels;
    return g->kernel_height * taps * ((run + GROUP - 1) / GROUP) * g->vectors * F(SUBBYTE_X86_STORED_);
}
