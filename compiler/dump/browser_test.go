package dump_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"llmc/compiler"
	"llmc/compiler/dump"
	"llmc/engine"
	"llmc/internal/cli"
)

// deepConfig is of a model as deep as those of 8 billion parameters, and narrow.
const deepConfig = `{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 32,
"num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-06, "torch_dtype": "bfloat16", "tie_word_embeddings": false}`

// deepPage writes the report of a plan of 32 layers for a CPU and a GPU.
func deepPage(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "config.json"), []byte(deepConfig), 0o600))
	seed, out := uint64(1), filepath.Join(dir, "deep.plan")
	_, err := compiler.Build(t.Context(), compiler.Options{Model: dir, Random: &seed, Out: out, Archs: []string{"x86-64-v3", "sm80"}, Quant: "int4"})
	check(t, err)
	plan, err := engine.Open(out)
	check(t, err)
	defer plan.Close()
	report, err := dump.NewPlan(plan, 2)
	check(t, err)
	path := filepath.Join(dir, "deep.html")
	check(t, cli.WriteFile(path, func(w io.Writer) error {
		return report.WriteHTML(w, plan, func(p *engine.Program) (*dump.Memory, error) { return dump.NewMemory(plan, p, dump.MemorySettings{}) })
	}))
	return path
}

// TestPageOf32Layers holds the page to its size, and to what is drawn of the layers.
func TestPageOf32Layers(t *testing.T) {
	page, err := os.ReadFile(deepPage(t))
	check(t, err)
	wellFormed(t, string(page))
	for _, piece := range []string{`"period":`, `"count":3`, "layers.17.", `"ptx":{"text"`, "Activations over a step", `class="plot"`, "error of each weight"} {
		if !strings.Contains(string(page), piece) {
			t.Errorf("the page lacks %q", piece)
		}
	}
}

// tab is a page in a headless Chromium.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	errors []string // exceptions, what the page's policy refuses, and what it asks a network for
}

func openBrowser(t *testing.T) *tab {
	t.Helper()
	name := os.Getenv("LLMC_CHROMIUM")
	if name == "" {
		name = "chromium"
	}
	path, err := exec.LookPath(name)
	if err != nil || os.Getenv("LLMC_SCREENSHOTS") == "" {
		t.Skipf("no browser, or LLMC_SCREENSHOTS names no folder: 'make test-browser' (%v)", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("no-sandbox", true), chromedp.Flag("disable-gpu", true), chromedp.WindowSize(1440, 1000))
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	check(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	check(t, chromedp.Listen(ctx, b.listen))
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		b.errors = append(b.errors, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.errors = append(b.errors, e.Entry.Text)
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, "file:") {
			b.errors = append(b.errors, "asks for "+e.Request.URL)
		}
	}
}

func (b *tab) text(expression string) string {
	b.t.Helper()
	s, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](fmt.Sprintf("String(%s)", expression)))
	check(b.t, err)
	return s
}

func (b *tab) number(expression string) float64 {
	b.t.Helper()
	n, err := strconv.ParseFloat(b.text(expression), 64)
	check(b.t, err)
	return n
}

func (b *tab) do(script string) {
	b.t.Helper()
	b.text("(() => { " + script + "; return 0; })()")
}

func (b *tab) shoot(name string) {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	check(b.t, err)
	check(b.t, os.WriteFile(filepath.Join(os.Getenv("LLMC_SCREENSHOTS"), name+".png"), picture, 0o644))
}

// TestReportPageInBrowser opens the report of a plan of 32 layers: it is there at once, asks for nothing, finds a weight, unfolds layers, sorts, and unpacks code.
func TestReportPageInBrowser(t *testing.T) {
	b := openBrowser(t)
	page := deepPage(t)
	info, err := os.Stat(page)
	check(t, err)
	check(t, chromedp.Do(b.ctx, chromedp.Navigate("file://"+page)))
	t.Logf("%d KB, %.0f ms from the navigation to the end of loading", info.Size()/1000, b.number(`performance.timing.loadEventEnd - performance.timing.navigationStart`))
	b.shoot("report")
	const nodes = `document.querySelectorAll("#canvas .node").length`
	folded := b.number(nodes)
	b.do(`document.getElementById("fold").click()`)
	unfolded := b.number(nodes)
	if folded > 60 || unfolded < 10*folded {
		t.Errorf("%v ops are drawn of folded layers, %v of all", folded, unfolded)
	}
	b.shoot("report-unfolded")
	b.do(`document.querySelector("#canvas .frame").dispatchEvent(new MouseEvent("click", {bubbles: true}))`)
	if n := b.number(nodes); n != folded {
		t.Errorf("a click on a block leaves %v ops, %v were drawn before", n, folded)
	}
	for range 2 { // in folded layers, then in all
		b.do(`const f = document.getElementById("find"); f.value = "layers.17.mlp.down_proj"; f.dispatchEvent(new Event("input")); f.dispatchEvent(new KeyboardEvent("keydown", {key: "Enter"}))`)
		if found, chosen := b.text(`document.getElementById("found").textContent`), b.text(`document.querySelector("#canvas .chosen .kind")?.textContent`); !strings.Contains(found, "layers.17.mlp.down_proj") || !strings.Contains(chosen, "linear") {
			t.Errorf("the search finds %q and chooses %q", found, chosen)
		}
		if detail := b.text(`document.getElementById("detail").textContent`); !strings.Contains(detail, "layers.17.mlp.down_proj") || !strings.Contains(detail, "moves") {
			t.Errorf("of what is chosen there is %q", detail)
		}
		b.shoot("report-search-" + b.text(`document.getElementById("fold").textContent`))
		b.do(`document.getElementById("fold").click()`)
	}
	b.tryTools()
	if len(b.errors) > 0 {
		t.Errorf("errors: %q", b.errors)
	}
}

// tryTools zooms, sorts, filters, and shows code.
func (b *tab) tryTools() {
	t := b.t
	t.Helper()
	const transform = `document.querySelector("#canvas g").getAttribute("transform")`
	before := b.text(transform)
	b.do(`document.getElementById("canvas").dispatchEvent(new WheelEvent("wheel", {deltaY: -300, clientX: 300, clientY: 400, cancelable: true}))`)
	if b.text(transform) == before {
		t.Error("the wheel does not zoom")
	}
	b.do(`document.querySelectorAll("#weight-table th")[4].click()`)
	const size = `Number(document.querySelectorAll("#weight-table tr")[%d].cells[4].dataset.v)`
	if first, second := b.number(fmt.Sprintf(size, 1)), b.number(fmt.Sprintf(size, 2)); first < second {
		t.Errorf("sorted by size, %v is before %v", first, second)
	}
	b.do(`const f = document.querySelector("[data-filter]"); f.value = "layers.3.self_attn.o_proj"; f.dispatchEvent(new Event("input"))`)
	if n := b.number(`[...document.querySelectorAll("#weight-table tr")].filter((r) => !r.hidden).length`); n < 2 || n > 4 {
		t.Errorf("%v rows are shown of one weight", n)
	}
	b.do(`document.querySelector("[data-ptx]").click()`)
	for end := time.Now().Add(10 * time.Second); !strings.Contains(b.text(`document.getElementById("ptx-text").textContent`), ".entry"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no code is shown")
		}
	}
	b.do(`document.getElementById("ptx-text").scrollIntoView()`)
	b.shoot("report-ptx")
	b.do(`document.getElementById("accuracy").scrollIntoView()`)
	b.shoot("report-accuracy")
	b.do(`document.getElementById("programs").scrollIntoView()`)
	b.shoot("report-launches")
}
