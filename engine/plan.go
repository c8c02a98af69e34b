package engine

// Plan is an opened plan file.
type Plan struct{}
