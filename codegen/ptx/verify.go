package ptx

// verify runs every check on a kernel and adds what it finds to the errors of building it.
func (k *kernel) verify() {
}
