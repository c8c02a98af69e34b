package cpu

import (
	"testing"

	"llmc/engine/layout"
	"llmc/engine/partition"
	"llmc/runtime/device/cpu/kernel"
)

// Every byte of a weight is brought to one worker: their parts follow each other.
func TestPartsOfWorkers(t *testing.T) {
	l, err := layout.New("bf16", 13*layout.Lanes, 64, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err := kernel.NewMatrix(l, make([]byte, l.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	for i := range w.Data {
		w.Data[i] = byte(i / l.PanelBytes())
	}
	for workers := 1; workers < 16; workers++ {
		product := linear{w: w, units: w.Panels()}
		whole := 0
		for worker := range workers {
			part := product.ofWorker(worker, workers)
			if len(part) > 0 && int(part[0]) != whole/l.PanelBytes() {
				t.Errorf("%d workers: the part of worker %d begins at panel %d, that before ends at %d", workers, worker, part[0], whole/l.PanelBytes())
			}
			whole += len(part)
		}
		if whole != len(w.Data) {
			t.Errorf("%d workers have %d bytes of %d", workers, whole, len(w.Data))
		}
	}
	rank := linear{w: w, units: w.Panels(), spans: partition.Set{{From: 2, To: 4}, {From: 7, To: 10}}}
	for worker, want := range []struct{ panel, panels int }{{2, 2}, {7, 3}} {
		if part := rank.ofWorker(worker, 2); int(part[0]) != want.panel || len(part) != want.panels*l.PanelBytes() {
			t.Errorf("worker %d of a rank has %d bytes from panel %d", worker, len(part), part[0])
		}
	}
}

// A model that could not be loaded ends although nothing was brought for it.
func TestPlacesThatWereNotBegunEnd(t *testing.T) {
	(&places{}).end()
	var none *places
	none.end()
}
