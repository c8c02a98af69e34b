package emu

import (
	"strings"

	"llmc/runtime/device/emu/ptxtext"
)

// specialRegisters lists the special registers that are constant for a warp (PTX ISA, "Special Registers").
// Clusters have one CTA, so cluster numbers are those of the grid.
var specialRegisters = map[string]func(w *warp, lane int) uint64{
	"%tid.x":    func(w *warp, lane int) uint64 { return uint64(w.thread(lane)[0]) },
	"%tid.y":    func(w *warp, lane int) uint64 { return uint64(w.thread(lane)[1]) },
	"%tid.z":    func(w *warp, lane int) uint64 { return uint64(w.thread(lane)[2]) },
	"%ntid.x":   func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Block[0]) },
	"%ntid.y":   func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Block[1]) },
	"%ntid.z":   func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Block[2]) },
	"%ctaid.x":  func(w *warp, _ int) uint64 { return uint64(w.cta.id[0]) },
	"%ctaid.y":  func(w *warp, _ int) uint64 { return uint64(w.cta.id[1]) },
	"%ctaid.z":  func(w *warp, _ int) uint64 { return uint64(w.cta.id[2]) },
	"%nctaid.x": func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[0]) },
	"%nctaid.y": func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[1]) },
	"%nctaid.z": func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[2]) },

	"%clusterid.x":         func(w *warp, _ int) uint64 { return uint64(w.cta.id[0]) },
	"%clusterid.y":         func(w *warp, _ int) uint64 { return uint64(w.cta.id[1]) },
	"%clusterid.z":         func(w *warp, _ int) uint64 { return uint64(w.cta.id[2]) },
	"%nclusterid.x":        func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[0]) },
	"%nclusterid.y":        func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[1]) },
	"%nclusterid.z":        func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Grid[2]) },
	"%cluster_ctaid.x":     zeroRegister,
	"%cluster_ctaid.y":     zeroRegister,
	"%cluster_ctaid.z":     zeroRegister,
	"%cluster_ctarank":     zeroRegister,
	"%cluster_nctaid.x":    oneRegister,
	"%cluster_nctaid.y":    oneRegister,
	"%cluster_nctaid.z":    oneRegister,
	"%cluster_nctarank":    oneRegister,
	"%is_explicit_cluster": zeroRegister,

	"%laneid":      func(_ *warp, lane int) uint64 { return uint64(lane) },
	"%warpid":      func(w *warp, _ int) uint64 { return uint64(w.index) },
	"%nwarpid":     func(w *warp, _ int) uint64 { return uint64(len(w.cta.warps)) },
	"%smid":        func(w *warp, _ int) uint64 { return uint64(w.cta.linear) % emulatedSMs },
	"%nsmid":       func(*warp, int) uint64 { return emulatedSMs },
	"%gridid":      zeroRegister,
	"%lanemask_eq": func(_ *warp, lane int) uint64 { return 1 << lane },
	"%lanemask_le": func(_ *warp, lane int) uint64 { return 2<<lane - 1 },
	"%lanemask_lt": func(_ *warp, lane int) uint64 { return 1<<lane - 1 },
	"%lanemask_ge": func(_ *warp, lane int) uint64 { return uint64(allLanes << lane) },
	"%lanemask_gt": func(_ *warp, lane int) uint64 { return uint64(allLanes << lane << 1) },

	"%dynamic_smem_size": func(w *warp, _ int) uint64 { return uint64(w.cta.launch.Shared) },
	"%total_smem_size":   func(w *warp, _ int) uint64 { return uint64(len(w.cta.shared)) },
}

const emulatedSMs = 132

func zeroRegister(*warp, int) uint64 { return 0 }
func oneRegister(*warp, int) uint64  { return 1 }

// clocks are read anew by every instruction: time goes on by a fixed step at each reading, so that it is the same in every run.
var clocks = map[string]uint64{"%clock": 0xffffffff, "%clock_hi": 0, "%clock64": ^uint64(0), "%globaltimer": ^uint64(0), "%globaltimer_lo": 0xffffffff, "%globaltimer_hi": 0}

// specialReg returns the register that holds a special register, if the operand is one.
func (d *decoder) specialReg(o *ptxtext.Operand) (int32, bool) {
	if o.Name == "" || o.Name[0] != '%' {
		return 0, false
	}
	if _, ok := d.lookup(o.Name); ok {
		return 0, false
	}
	name := o.Name
	if o.Part != "" {
		name += "." + o.Part
	}
	if mask, ok := clocks[name]; ok {
		r := d.newReg(name)
		d.emit(func(w *warp) signal {
			for i := range w.regs[r] {
				w.regs[r][i] = w.clockNow() & mask
			}
			w.init[r] |= w.exec
			return goOn
		}, ClassControl)
		return r, true
	}
	value := specialRegisters[name]
	if value == nil {
		return 0, false
	}
	if r, ok := d.fixed[name]; ok {
		return r, true
	}
	r := d.newReg(name)
	d.fixed[name] = r
	d.prog.specials = append(d.prog.specials, special{r, fillSpecial(name, value)})
	return r, true
}

// fillSpecial asks for a value of each lane where lanes differ.
func fillSpecial(name string, value func(w *warp, lane int) uint64) func(w *warp, v *vec) {
	if strings.HasPrefix(name, "%tid.") || strings.HasPrefix(name, "%lane") {
		return func(w *warp, v *vec) {
			for lane := range v {
				v[lane] = value(w, lane)
			}
		}
	}
	return func(w *warp, v *vec) {
		same := value(w, 0)
		for lane := range v {
			v[lane] = same
		}
	}
}

// clockNow advances the clock of the CTA and reads it.
func (w *warp) clockNow() uint64 {
	w.cta.ticks++
	return w.cta.ticks * clockStep
}

const clockStep = 16
