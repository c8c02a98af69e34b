// Package kv owns the pages of the key/value cache: which page belongs to whom, how often it is shared, and which full pages
// can be found again by the tokens that they hold. It moves numbers only: the memory of the pages is the device's, and when
// a page may be written or read is the scheduler's affair. It knows no device, no request and no clock.
//
// A page is in one of three states. Free: nobody uses it and its content means nothing. Held: one or more page tables refer to
// it. Cached: no table refers to it, but its content is known, so that a table may take it again; such pages form a
// least-recently-used list and are given to whoever needs room.
//
// The index maps (parent page, tokens of the page) to the page. The parent is identified by page number, not by hash:
// a page leaves the index only after all its children have (see lru.go), so that "same parent and same tokens" means, by
// induction, the same tokens from position 0 on. Hashes only find the candidates; every match compares the tokens.
package kv
