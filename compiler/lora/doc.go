// Package lora turns a PEFT adapter into a plan that is served beside a model's: it owns where in the packed weights of that plan the modules of the
// adapter have become. It reads the recipes of these weights, not the checkpoint. The arithmetic is the device's; engine.AdapterInfo describes the result.
package lora
