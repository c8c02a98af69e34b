// Package grad differentiates functions of modules: given how a number depends on a function's results, it finds how it depends on what each product gave (reverse mode; Griewank and Walther, "Evaluating
// Derivatives", 2008, chapter 3). A function is run on one sequence, in f32, op by op as the interpreter means it with Exact set, and all values are kept; then ops are gone through from the last to the
// first. Weights are read block by block, twice, and never held. Sums have one order, whatever the number of threads.
//
// Not every op has a derivative here: New refuses functions that have others.
package grad
