// Package launch finds out which of several processes this one is, from whatever started them, and starts those that nobody else does.
package launch
