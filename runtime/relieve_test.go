package runtime

import (
	"testing"
	"testing/synctest"
	"time"

	"llmc/runtime/rest"
)

// relieved is an echo that loses what it may.
type relieved struct {
	*echo
	times int
}

func (m *relieved) RelieveSteps() { m.times++ }

func (m *relieved) RelievePages(first, end int, used func(page int32) bool) {
	for page := first; page < min(end, m.pages); page++ {
		if !used(int32(page)) {
			for i := range m.limits.PageSize {
				m.memory[page*m.limits.PageSize+i] = -1
			}
		}
	}
}

// Memory is given back once nobody has asked for anything for a while, and once alone; prompts stay cached, and what is asked next is answered as before.
func TestMemoryIsGivenBackAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &relieved{echo: newEcho()}
		e, err := newEngine(m, info, newBytesStream, Options{})
		if err != nil {
			t.Fatal(err)
		}
		go e.run()
		defer e.Close()
		const text = "a text of some pages"
		for want := range 3 {
			for again := range 2 {
				g := submit(t, e, scriptText(text))
				if got := read(t, g); got.text != text {
					t.Errorf("%q", got.text)
				}
				if cached := g.Usage().CachedTokens; cached == 0 && want+again > 0 {
					t.Errorf("nothing was cached after %d rests", want)
				}
				time.Sleep(rest.After / 2)
			}
			if m.times != want {
				t.Errorf("memory was given back %d times, not %d", m.times, want)
			}
			time.Sleep(3 * rest.After)
			synctest.Wait()
			if lost := m.lost(); lost == 0 || lost == len(m.memory) {
				t.Errorf("%d of %d positions were given back", lost, len(m.memory))
			}
		}
	})
}

// lost counts the positions that were given back.
func (m *relieved) lost() (n int) {
	for _, token := range m.memory {
		if token == -1 {
			n++
		}
	}
	return n
}
