package runtime

// lose ends the engine's service: the device answers nothing any more. Nobody is admitted from now on; all that was ends with the step.
func (e *Engine) lose(reason error) {
	if e.gone.Load() != nil { // the step behind is lost too
		return
	}
	e.gone.Store(&reason)
	e.mu.Lock()
	if !e.draining.Load() {
		e.draining.Store(true)
		e.checkEmpty()
	}
	e.mu.Unlock()
	close(e.lost)
}

// Lost is closed when the device has been lost; Health says why. The process has to end: another one may find the device well again.
func (e *Engine) Lost() <-chan struct{} { return e.lost }
