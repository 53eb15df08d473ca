// ap_axiu<W, 0, 0, 0> for C simulation: a beat of AXI4-Stream without side channels.
//
// A stand-in for the header of the same name that comes with HLS tools; other numbers of user, id and destination bits
// do not exist here.
#ifndef SUBBYTE_CSIM_AP_AXI_SDATA_H_
#define SUBBYTE_CSIM_AP_AXI_SDATA_H_

#include "ap_int.h"

template <int W, int USER, int ID, int DEST>
struct ap_axiu;

// data: W bits; keep, strb: a bit for each byte of it that means something; last: the end of a packet.
template <int W>
struct ap_axiu<W, 0, 0, 0> {
    static_assert(W % 8 == 0, "a beat has whole bytes");
    ap_uint<W> data;
    ap_uint<W / 8> keep;
    ap_uint<W / 8> strb;
    ap_uint<1> last;
};

#endif  // SUBBYTE_CSIM_AP_AXI_SDATA_H_
