package ptx

func callMemory(k *scene) {
	for _, name := range []string{"u", "i", "f", "w"} {
		map[string]func(string) Reg{"u": k.Uint, "i": k.Int, "f": k.Float, "w": k.Uint64}[name](name)
	}
	policy := k.CreatePolicy(L2EvictFirst, 1.0)
	k.CreatePolicy(L2EvictLast, 0.5)
	k.CreatePolicy(L2EvictNormal, 1.0)
	k.CreatePolicy(L2EvictUnchanged, 1.0)
	for _, p := range []Reg{k.g, k.s} {
		for _, t := range []Type{U8, S8, BF16, F32, U64} {
			k.Ld(t, p.At(t.Bytes()))
		}
		k.LdV(F32, 4, p)
		k.LdV(B64, 2, p)
		k.LdV(F16, 2, p.At(4))
		k.St(p, k.v[F32])
		k.St8(p.At(3), k.v[U32])
		k.StV(p, k.many(BF16x2, 4))
		k.StV(p, k.many(F64, 2))
		for _, h := range []Hint{Volatile, RelaxedCTA, RelaxedGPU, RelaxedSys, AcquireCTA, AcquireGPU, AcquireSys} {
			k.Ld(U32, p, h)
		}
		for _, h := range []Hint{Volatile, RelaxedCTA, RelaxedGPU, RelaxedSys, ReleaseCTA, ReleaseGPU, ReleaseSys} {
			k.St(p, k.v[U32], h)
		}
	}
	for _, level1 := range []Hint{NoAllocate, EvictFirst, EvictLast, EvictNoMove} {
		k.Ld(F32, k.g, level1)
		k.St(k.g, k.v[F32], level1)
		k.LdV(B32, 4, k.g, ReadOnly, level1, Prefetch256, Policy(policy))
		k.StV(k.g, k.many(B32, 2), level1, Policy(policy))
	}
	k.Ld(U8, k.g, ReadOnly)
	k.Ld(S8, k.g, ReadOnly)
	for _, h := range []Hint{Prefetch64, Prefetch128, Policy(policy)} {
		k.Ld(U64, k.g, h)
		k.LdV(F32, 2, k.g, h)
	}
	k.St(k.g, k.v[U16], Policy(policy))
	k.StV(k.g, k.many(B32, 4), Policy(policy))
	k.PrefetchL1(k.g)
	k.PrefetchL2(k.g.At(-128))
	k.PrefetchL2Keep(k.g)
	k.ToGlobal(k.Ld(U64, k.g))
	k.ToGeneric(k.g)
}

func callAtomics(k *scene) {
	for _, o := range []Order{Relaxed, AcquireRelease, ReleaseInCTA, AcquireInSystem} {
		for _, p := range []Reg{k.g, k.s} {
			k.AtomAdd(o, p, 1)
			k.AtomCAS(o, p, 0, k.v[B32])
		}
	}
	p := k.g
	k.each(func(x Reg) { k.AtomAdd(Relaxed, p, x); k.RedAdd(Release, p, x) }, U32, S32, U64, F32)
	k.each(func(x Reg) {
		k.AtomMin(Relaxed, p, x)
		k.AtomMax(Relaxed, p, x)
		k.RedMin(Relaxed, p, x)
		k.RedMax(Relaxed, p, x)
	}, U32, S32, U64, S64)
	k.each(func(x Reg) {
		k.AtomAnd(Acquire, p, x)
		k.AtomOr(Acquire, p, x)
		k.AtomXor(Acquire, p, x)
		k.AtomExch(Acquire, p, x)
		k.AtomCAS(Acquire, p, x, x)
		k.RedAnd(Relaxed, p, x)
		k.RedOr(Relaxed, p, x)
		k.RedXor(Relaxed, p, x)
	}, B32, B64)
	k.AtomInc(AcquireRelease, p, 7)
	k.AtomDec(AcquireRelease, p, k.v[U32])
	k.RedInc(Relaxed, p, 7)
	k.RedDec(Relaxed, p, 7)
	k.RedAdd(Relaxed, p, k.v[F16x2])
}

func callAsync(k *scene) {
	policy := k.CreatePolicy(L2EvictLast, 1.0)
	for _, bytes := range []int{4, 8, 16} {
		k.CopyAsync(k.s, k.g, bytes)
		k.CopyAsync(k.s, k.g, bytes, Prefetch128)
		k.CopyAsync(k.s, k.g, bytes, Policy(policy))
		k.CopyAsyncZero(k.s, k.g, bytes, k.v[U32])
		k.CopyAsyncZero(k.s, k.g, bytes, 0, Policy(policy), Prefetch64)
	}
	k.CopyCommit()
	k.CopyWait(1)
	k.CopyWaitAll()
	k.CopyArrive(k.s)
	k.CopyArriveCounted(k.s)
	k.BarrierInit(k.s, 128)
	state := k.BarrierArrive(k.s)
	k.BarrierArriveOpen(k.s, 2)
	k.BarrierTest(k.s, state)
	k.BarrierTestParity(k.s, 1)
	k.BarrierWait(k.s, 0)
	k.BarrierInval(k.s)
}

func callAsync90(k *scene) {
	policy := k.CreatePolicy(L2EvictLast, 1.0)
	k.FenceBarrierInit()
	k.FenceAsync()
	k.FenceAsyncShared()
	k.FenceAsyncGlobal()
	state := k.BarrierArriveExpect(k.s, 1024)
	k.BarrierArriveN(k.s, 2)
	k.BarrierExpect(k.s, k.v[U32])
	k.BarrierTry(k.s, state)
	k.BarrierTryParity(k.s, k.v[U32])
	k.BarrierTryParityFor(k.s, 0, 1000)
	k.BarrierWait(k.s, 1)
	k.BulkLoad(k.s.At(16), k.g, 256, k.s)
	k.BulkLoad(k.s.At(16), k.g, k.v[U32], k.s, Policy(policy))
	k.BulkStore(k.g, k.s, 256)
	k.BulkStore(k.g, k.s, 256, Policy(policy))
	k.BulkPrefetch(k.g, 4096)
	k.BulkCommit()
	k.BulkWait(0)
	k.BulkWaitRead(1)
	k.Elect()
	k.ClusterArrive("release")
	k.ClusterWait("acquire")
	k.LaunchDependents()
	k.WaitForDependency()
}
