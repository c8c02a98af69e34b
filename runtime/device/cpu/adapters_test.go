package cpu_test

import (
	"testing"

	"llmc/compiler"
	"llmc/compiler/plantest"
	"llmc/engine"
	"llmc/runtime/device/cpu"
	"llmc/runtime/device/devicetest"
)

// TestAdaptersDoNotDependOnTheSchedule serves requests without an adapter and with two of different ranks and modules in the same steps, and wants the bits
// that each gives alone.
func TestAdaptersDoNotDependOnTheSchedule(t *testing.T) {
	wide := plantest.AdapterDir(t, 1, plantest.DemoModules(40, plantest.AllLinear...), nil)
	narrow := plantest.AdapterDir(t, 2, plantest.DemoModules(3, "self_attn.v_proj", "mlp.down_proj", "mlp.up_proj"), nil)
	for _, format := range []string{"bf16", "int8-w8a8"} {
		for _, target := range engine.Targets {
			if target.Device != "cpu" || len(target.Missing()) > 0 {
				continue
			}
			t.Run(format+"/"+target.Name, func(t *testing.T) {
				plan := plantest.Build(t, plantest.Demo, compiler.Options{Quant: format, Archs: []string{target.Name}, LoraRank: 40})
				devicetest.Schedules(t, cpu.Device{}, plan, 1024, 160, 2, plantest.Adapter(t, plan, wide), plantest.Adapter(t, plan, narrow))
			})
		}
	}
}
