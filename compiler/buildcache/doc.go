// Package buildcache owns what is kept of builds: plans by everything that they were made from, and codes that calibrations have chosen. What it hands out is what a
// build would make, byte for byte, or nothing: files are known by their stamps not to have changed since they were kept, and are hashed where stamps do not say so.
package buildcache
