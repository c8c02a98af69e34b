package ptx

// Sync waits for all threads of the CTA.
func (b *Builder) Sync() { b.emit("bar.sync", 0) }

// SyncSome waits at barrier id (1 to 15) until that many threads have come, a multiple of 32.
func (b *Builder) SyncSome(id, threads Operand) { b.emit("bar.sync/count", id, threads) }

// Arrive counts at barrier id without waiting.
func (b *Builder) Arrive(id, threads Operand) { b.emit("bar.arrive", id, threads) }

// SyncCount is Sync that counts the threads in which p holds.
func (b *Builder) SyncCount(p Reg) Reg {
	d := b.result(U32)
	b.emit("bar.red.popc.u32", d, 0, p)
	return d
}

// SyncAnd is Sync that tells whether p holds in all threads.
func (b *Builder) SyncAnd(p Reg) Reg { return b.syncVote("and", p) }

// SyncOr is Sync that tells whether p holds in some thread.
func (b *Builder) SyncOr(p Reg) Reg { return b.syncVote("or", p) }

func (b *Builder) syncVote(op string, p Reg) Reg {
	d := b.result(Pred)
	b.emit("bar.red."+op+".pred", d, 0, p)
	return d
}

// SyncWarp waits for the lanes of the warp and orders their memory accesses.
func (b *Builder) SyncWarp() { b.emit("bar.warp.sync", FullWarp) }

// Scope is who sees the order that a fence makes.
type Scope string

// Scopes of fences.
const (
	CTA    Scope = "cta"
	GPU    Scope = "gpu"
	System Scope = "sys"
)

// Membar orders all memory accesses before it with those behind it.
func (b *Builder) Membar(s Scope) {
	name := map[Scope]string{CTA: "cta", GPU: "gl", System: "sys"}[s]
	b.emit("membar." + name)
}

// Fence orders as acquire and release.
func (b *Builder) Fence(s Scope) { b.emit("fence.acq_rel." + string(s)) }

// FenceSeqCst orders sequentially consistently.
func (b *Builder) FenceSeqCst(s Scope) { b.emit("fence.sc." + string(s)) }

// FenceAsync orders accesses of this thread with those of bulk copies and wgmma, which go through the async proxy.
func (b *Builder) FenceAsync() { b.emit("fence.proxy.async") }

// FenceAsyncShared is FenceAsync for shared memory alone.
func (b *Builder) FenceAsyncShared() { b.emit("fence.proxy.async.shared::cta") }

// FenceAsyncGlobal is FenceAsync for global memory alone.
func (b *Builder) FenceAsyncGlobal() { b.emit("fence.proxy.async.global") }

// FenceBarrierInit makes initialized mbarriers visible to bulk copies and the cluster.
func (b *Builder) FenceBarrierInit() { b.emit("fence.mbarrier_init.release.cluster") }

// ClusterArrive arrives at the barrier of the cluster; memory is "", "release" or "relaxed".
func (b *Builder) ClusterArrive(memory string) {
	b.emit("barrier.cluster.arrive" + dotted(memory) + ".aligned")
}

// ClusterWait waits for the cluster; memory is "" or "acquire".
func (b *Builder) ClusterWait(memory string) {
	b.emit("barrier.cluster.wait" + dotted(memory) + ".aligned")
}

func dotted(s string) string {
	if s == "" {
		return ""
	}
	return "." + s
}

// LaunchDependents lets the kernel that was launched to depend on this one start.
func (b *Builder) LaunchDependents() { b.emit("griddepcontrol.launch_dependents") }

// WaitForDependency waits until the kernels before this one have finished and their writes are seen.
func (b *Builder) WaitForDependency() { b.emit("griddepcontrol.wait") }

// Return ends the thread.
func (b *Builder) Return() { b.emit("ret") }

// Exit ends the thread.
func (b *Builder) Exit() { b.emit("exit") }

// Trap ends the kernel with an error.
func (b *Builder) Trap() { b.emit("trap") }

// Sleep suspends the thread for about that many nanoseconds.
func (b *Builder) Sleep(ns Operand) { b.emit("nanosleep.u32", ns) }

// RegistersUp lets the warps of a warpgroup have n registers a thread, a multiple of 8 from 24 to 256.
func (b *Builder) RegistersUp(n int) { b.setRegisters("inc", n) }

// RegistersDown gives registers up until n are left.
func (b *Builder) RegistersDown(n int) { b.setRegisters("dec", n) }

func (b *Builder) setRegisters(direction string, n int) {
	if n < 24 || n > 256 || n%8 != 0 {
		b.fail("setmaxnreg of %d: wants a multiple of 8 from 24 to 256", n)
	}
	b.emit("setmaxnreg."+direction+".sync.aligned.u32", n)
}
