// What a checked kernel returns for operands that it refuses.

#ifndef SUBBYTE_REFUSED_H
#define SUBBYTE_REFUSED_H

enum { SUBBYTE_REFUSED = -4 };  // SUBBYTE_ERROR_STEP of subbyte_model.h

#endif  // SUBBYTE_REFUSED_H
