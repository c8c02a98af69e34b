// Package runtime loads plans and runs them: the step loop between scheduler and device, and the generations
// that callers read. It knows no protocol and no kernel.
package runtime
