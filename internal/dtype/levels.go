package dtype

// NF4 is what the codes of bitsandbytes' normal floats stand for at scale one (QLoRA, Dettmers et al. 2023, appendix E).
var NF4 = [16]float32{
	-1, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0,
	0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1,
}

// IQ4NL is the same of GGUF's IQ4_NL (llama.cpp, ggml-quants): whole numbers.
var IQ4NL = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

// FP4 is the same of its floating point of 4 bits: twelfths of 0.0625, 8, 12, 4, 6, 2 and 3, with a sign.
var FP4 = [16]float32{
	0, 0.0625 / 12., 8 / 12., 1, 4 / 12., 0.5, 2 / 12., 0.25,
	0, -0.0625 / 12., -8 / 12., -1, -4 / 12., -0.5, -2 / 12., -0.25,
}
