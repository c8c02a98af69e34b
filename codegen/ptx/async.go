package ptx

// CopyAsync copies 4, 8 or 16 bytes from global to shared memory behind the thread's back. 16 bytes bypass L1.
// Hints: a prefetch size, a policy.
func (b *Builder) CopyAsync(dst, src Address, bytes int, hints ...Hint) {
	name, policy := b.copyAsync(bytes, hints)
	b.emit(name, append([]any{dst, src, bytes}, policy...)...)
}

// CopyAsyncZero is CopyAsync that reads only the first have bytes and fills the rest with zeros.
func (b *Builder) CopyAsyncZero(dst, src Address, bytes int, have Operand, hints ...Hint) {
	name, policy := b.copyAsync(bytes, hints)
	b.emit(name+"/zfill", append([]any{dst, src, bytes, have}, policy...)...)
}

func (b *Builder) copyAsync(bytes int, given []Hint) (string, []any) {
	if bytes != 4 && bytes != 8 && bytes != 16 {
		b.fail("cp.async of %d bytes: wants 4, 8 or 16", bytes)
	}
	h, policy := b.hints(given)
	if h[hintReadOnly]+h[hintLevel1]+h[hintOrder] != "" {
		b.fail("cp.async takes prefetch sizes and policies alone")
	}
	through := "ca"
	if bytes == 16 {
		through = "cg"
	}
	return "cp.async." + through + ".shared.global" + h[hintPolicy] + h[hintPrefetch], policy
}

// CopyCommit closes a group of CopyAsync copies.
func (b *Builder) CopyCommit() { b.emit("cp.async.commit_group") }

// CopyWait waits until at most n of the latest groups are still under way. Other threads' copies need a barrier behind it.
func (b *Builder) CopyWait(n int) { b.emit("cp.async.wait_group", n) }

// CopyWaitAll waits for all copies of the thread.
func (b *Builder) CopyWaitAll() { b.emit("cp.async.wait_all") }

// CopyArrive lets the mbarrier be arrived at once the thread's copies so far are done; the arrival is added to the
// expected count and so changes nothing in balance.
func (b *Builder) CopyArrive(barrier Address) { b.emit("cp.async.mbarrier.arrive.shared.b64", barrier) }

// CopyArriveCounted is CopyArrive that counts as one of the expected arrivals.
func (b *Builder) CopyArriveCounted(barrier Address) {
	b.emit("cp.async.mbarrier.arrive.noinc.shared.b64", barrier)
}

// BarrierInit makes 8 bytes of shared memory a barrier that completes a phase with count arrivals.
func (b *Builder) BarrierInit(barrier Address, count Operand) {
	b.emit("mbarrier.init.shared.b64", barrier, count)
}

// BarrierInval makes a barrier ordinary memory again.
func (b *Builder) BarrierInval(barrier Address) { b.emit("mbarrier.inval.shared.b64", barrier) }

// BarrierArrive arrives and gives the state of the phase.
func (b *Builder) BarrierArrive(barrier Address) Reg {
	d := b.result(B64)
	b.emit("mbarrier.arrive.shared.b64", d, barrier)
	return d
}

// BarrierArriveN is count arrivals at once; needs sm_90.
func (b *Builder) BarrierArriveN(barrier Address, count Operand) Reg {
	d := b.result(B64)
	b.emit("mbarrier.arrive.shared.b64/count", d, barrier, count)
	return d
}

// BarrierArriveOpen is count arrivals that are known not to complete the phase.
func (b *Builder) BarrierArriveOpen(barrier Address, count Operand) Reg {
	d := b.result(B64)
	b.emit("mbarrier.arrive.noComplete.shared.b64", d, barrier, count)
	return d
}

// BarrierArriveExpect arrives and lets the phase also wait for that many bytes of bulk copies.
func (b *Builder) BarrierArriveExpect(barrier Address, bytes Operand) Reg {
	d := b.result(B64)
	b.emit("mbarrier.arrive.expect_tx.shared.b64", d, barrier, bytes)
	return d
}

// BarrierExpect lets the phase also wait for that many bytes.
func (b *Builder) BarrierExpect(barrier Address, bytes Operand) {
	b.emit("mbarrier.expect_tx.relaxed.cta.shared::cta.b64", barrier, bytes)
}

// BarrierTest tells whether the phase of the state is complete.
func (b *Builder) BarrierTest(barrier Address, state Reg) Reg {
	return b.barrierTest("test_wait", barrier, state)
}

// BarrierTestParity tells whether the phase of that parity (0 for the first) is complete.
func (b *Builder) BarrierTestParity(barrier Address, parity Operand) Reg {
	return b.barrierTest("test_wait.parity", barrier, parity)
}

// BarrierTry is BarrierTest that may suspend the thread for a while; needs sm_90.
func (b *Builder) BarrierTry(barrier Address, state Reg) Reg {
	return b.barrierTest("try_wait", barrier, state)
}

// BarrierTryParity is BarrierTestParity that may suspend the thread for a while; needs sm_90.
func (b *Builder) BarrierTryParity(barrier Address, parity Operand) Reg {
	return b.barrierTest("try_wait.parity", barrier, parity)
}

// BarrierTryParityFor bounds the suspension by nanoseconds.
func (b *Builder) BarrierTryParityFor(barrier Address, parity, ns Operand) Reg {
	d := b.result(Pred)
	b.emit("mbarrier.try_wait.parity.shared.b64/hint", d, barrier, parity, ns)
	return d
}

func (b *Builder) barrierTest(op string, barrier Address, phase Operand) Reg {
	d := b.result(Pred)
	b.emit("mbarrier."+op+".shared.b64", d, barrier, phase)
	return d
}

// BarrierWait loops until the phase of that parity is complete: with try_wait where the target has it.
func (b *Builder) BarrierWait(barrier Address, parity Operand) {
	try := b.BarrierTryParity
	if b.module.target.SM < 90 {
		try = b.BarrierTestParity
	}
	b.DoWhile("wait", func() Reg { return try(barrier, parity).Not() })
}

// BulkLoad copies bytes, a multiple of 16, from global to shared memory and counts them at the barrier. One thread
// issues it for all. Hint: a policy.
func (b *Builder) BulkLoad(dst, src Address, bytes Operand, barrier Address, hints ...Hint) {
	name, policy := b.bulk("cp.async.bulk.shared::cluster.global"+bulkComplete, bytes, hints)
	b.emit(name, append([]any{dst, src, bytes, barrier}, policy...)...)
}

// BulkStore copies bytes, a multiple of 16, from shared to global memory as part of a bulk group.
func (b *Builder) BulkStore(dst, src Address, bytes Operand, hints ...Hint) {
	name, policy := b.bulk("cp.async.bulk.global.shared::cta.bulk_group", bytes, hints)
	b.emit(name, append([]any{dst, src, bytes}, policy...)...)
}

// BulkPrefetch brings bytes, a multiple of 16, to L2.
func (b *Builder) BulkPrefetch(src Address, bytes Operand) {
	name, _ := b.bulk("cp.async.bulk.prefetch.L2.global", bytes, nil)
	b.emit(name, src, bytes)
}

func (b *Builder) bulk(name string, bytes Operand, given []Hint) (string, []any) {
	if n, ok := integer(bytes); ok && (n <= 0 || n%16 != 0) {
		b.fail("bulk copy of %d bytes: wants a multiple of 16", n)
	}
	h, policy := b.hints(given)
	return name + h[hintPolicy], policy
}

// BulkCommit closes a group of bulk stores.
func (b *Builder) BulkCommit() { b.emit("cp.async.bulk.commit_group") }

// BulkWait waits until at most n of the latest groups are still under way.
func (b *Builder) BulkWait(n int) { b.emit("cp.async.bulk.wait_group", n) }

// BulkWaitRead waits until all but n groups have read their shared memory, which may then be written again.
func (b *Builder) BulkWaitRead(n int) { b.emit("cp.async.bulk.wait_group.read", n) }
