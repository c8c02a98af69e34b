// Package strictjson checks and splits JSON text from untrusted peers. It accepts RFC 8259 and nothing beside it, and less than
// encoding/json does: no duplicate keys, no invalid UTF-8, no lone surrogates, no numbers outside float64, bounded depth and
// width. Check walks the whole text once, so what a Value holds afterwards can be split, or handed on as it is, without failing.
//
// It must not know what any key means.
package strictjson
