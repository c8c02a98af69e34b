// Package pixels owns the way from an image file to the numbers that a model reads: decoding, conversion to RGB, resizing, cropping and
// normalising, as transformers does them with the Python imaging library, whose arithmetic of 8 bits it repeats. What is done to an image is
// data of the plan (engine.ImageSettings). Files are untrusted: their size and their pixels are bounded before anything is decoded.
package pixels
