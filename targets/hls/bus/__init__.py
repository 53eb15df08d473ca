"""The bus around a design: arrays of codes outside, words of its streams inside; AXI4-Stream or memory."""
