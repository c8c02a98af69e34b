// Package template renders HuggingFace chat templates. It is an interpreter of the Jinja language that gives the text
// transformers' own Jinja environment gives (ImmutableSandboxedEnvironment, trim_blocks, lstrip_blocks, loop controls, the
// generation tag, raise_exception, strftime_now, an unescaped tojson), and an error where that environment raises.
//
// Templates and what they render are untrusted. Values are immutable apart from namespaces, nothing outside the arguments of
// Render can be reached, and steps, memory, output and recursion are bounded (Limits).
//
// The way of a template: lexer -> parser -> nodes -> bind (names become slots, by Jinja's compile-time scoping rules) ->
// exec and eval over Values that behave like Python's objects. The package knows nothing of tokenizers or servers.
//
// What differs from Python, as an error where nothing else is said: bytes (str.encode), complex numbers, sets (dict.keys() - x),
// \N{name} escapes; integers beyond 64 Kbit; surrogates without a partner become U+FFFD; objects print with the address 0x0;
// set blocks cannot write into a dict ({% set d.x %}), which Jinja allows by oversight. Slices of literals that cannot be
// sliced (1[:2]) are errors, not undefined.
package template
