package dump

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// WeightValues compares the numbers that a weight of the first plan stands for with those that the second has for the same rows.
type WeightValues struct {
	Name    string    `json:"name"`
	Layer   string    `json:"layer,omitempty"`
	Formats [2]string `json:"formats"`        // "": the second plan has nothing of it
	Same    bool      `json:"same,omitempty"` // the bytes are
	Error   float64   `json:"error"`          // root mean square of the difference, relative to that of the first plan's numbers
	Missing int64     `json:"missing_rows,omitempty"`

	SquaredError float64 `json:"-"` // sums, for errors of layers
	Squares      float64 `json:"-"`
}

// LayerDifference sums up the weights of a layer, or those that are of none.
type LayerDifference struct {
	Layer      string    `json:"layer"`
	Weights    int       `json:"weights"`
	Changed    int       `json:"changed"` // of them, that are not the same bytes
	Formats    [2]string `json:"formats"` // all that there are
	Error      float64   `json:"error"`   // over all weights that are not the same bytes
	Worst      string    `json:"worst,omitempty"`
	WorstError float64   `json:"worst_error,omitempty"`
	Missing    int64     `json:"missing_rows,omitempty"`

	err, ref float64
}

// SetLayers adds up values by layers, in the order of the first plan.
func (c *Comparison) SetLayers() {
	at := map[string]int{}
	for _, v := range c.Values {
		i, known := at[v.Layer]
		if !known {
			i = len(c.Layers)
			at[v.Layer] = i
			c.Layers = append(c.Layers, LayerDifference{Layer: v.Layer})
		}
		c.Layers[i].add(&v)
	}
}

func (l *LayerDifference) add(v *WeightValues) {
	l.Weights++
	for i, f := range v.Formats {
		l.Formats[i] = withWord(l.Formats[i], f)
	}
	if v.Same {
		return
	}
	l.Changed++
	l.Missing += v.Missing
	l.err, l.ref = l.err+v.SquaredError, l.ref+v.Squares
	if l.ref > 0 {
		l.Error = math.Sqrt(l.err / l.ref)
	}
	if v.Error > l.WorstError {
		l.Worst, l.WorstError = v.Name, v.Error
	}
}

// withWord adds a word to a list that is joined by commas, unless it is there.
func withWord(list, word string) string {
	switch {
	case word == "" || slices.Contains(strings.Split(list, ", "), word):
		return list
	case list == "":
		return word
	}
	return list + ", " + word
}

// Name is what people call the layer.
func (l *LayerDifference) Name() string {
	if l.Layer == "" {
		return "(of no layer)"
	}
	return l.Layer
}

// writeLayers prints the comparison of weights layer by layer.
func (c *Comparison) writeLayers(w io.Writer) error {
	if len(c.Layers) == 0 {
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "\nlayer\tweights\tchanged\tformat\tin the second\terror\tworst\n")
	for i := range c.Layers {
		l := &c.Layers[i]
		if l.Changed == 0 {
			fmt.Fprintf(t, "%s\t%d\t-\t%s\t%s\t\t\n", l.Name(), l.Weights, l.Formats[0], l.Formats[1])
			continue
		}
		worst := ""
		if l.Worst != "" {
			worst = fmt.Sprintf("%s %.3f %%", l.Worst, 100*l.WorstError)
		}
		if l.Missing > 0 {
			worst += fmt.Sprintf(" (%d rows have no counterpart: the second plan has none of them, or one of the two is turned)", l.Missing)
		}
		fmt.Fprintf(t, "%s\t%d\t%d\t%s\t%s\t%.3f %%\t%s\n", l.Name(), l.Weights, l.Changed, l.Formats[0], l.Formats[1], 100*l.Error, worst)
	}
	return t.Flush()
}

// WriteHTML writes the comparison as one page that needs nothing else.
func (c *Comparison) WriteHTML(w io.Writer, names [2]string) error {
	return pages.ExecuteTemplate(w, "diff.html", struct {
		*Comparison
		frame
		Names [2]string
		Data  pageData
	}{c, newFrame("report.js"), names, pageData{}})
}

// Most is the greatest error of a layer, for bars.
func (c *Comparison) Most() float64 {
	most := 0.0
	for _, l := range c.Layers {
		most = max(most, l.Error)
	}
	return most
}

// Share is a layer's error as a part of the greatest, in percent.
func (l *LayerDifference) Share(most float64) int {
	if most == 0 {
		return 0
	}
	return int(100*l.Error/most + 0.5)
}
