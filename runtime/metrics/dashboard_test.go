package metrics

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// selector is a metric with its matchers; every one in the dashboard has some.
var (
	selector = regexp.MustCompile(`([a-zA-Z_:][a-zA-Z0-9_:]*)\{([^}]*)\}`)
	matcher  = regexp.MustCompile(`^([a-z_]+)(=~|=)"([^"]*)"$`)
)

// Every expression of the dashboard is of metrics that there are, by labels that these have.
func TestDashboard(t *testing.T) {
	r := New()
	r.Model(ModelOptions{Name: "tiny", MaxContext: 128, PageSize: 16, Pages: 40, Load: func() Load { return Load{} }})
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(scrape(t, r)))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Type, Title string
			Targets     []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, p := range dashboard.Panels {
		if (p.Type == "row") != (len(p.Targets) == 0) {
			t.Errorf("%s: %d expressions", p.Title, len(p.Targets))
		}
		for _, target := range p.Targets {
			found := selector.FindAllStringSubmatch(target.Expr, -1)
			if len(found) != strings.Count(target.Expr, "{") || len(found) == 0 {
				t.Errorf("%s: %s", p.Title, target.Expr)
			}
			for _, s := range found {
				checked++
				checkSelector(t, families, s[1], strings.Split(s[2], ","))
			}
		}
	}
	if checked < 40 {
		t.Errorf("%d selectors: the dashboard has more", checked)
	}
}

// checkSelector wants a metric of that name with a label for each matcher, of its value where that is fixed.
func checkSelector(t *testing.T, families map[string]*dto.MetricFamily, name string, matchers []string) {
	t.Helper()
	family := families[name]
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, suffix); ok && family == nil && families[base].GetType() == dto.MetricType_HISTOGRAM {
			family = families[base]
		}
	}
	for _, m := range matchers {
		parts := matcher.FindStringSubmatch(m)
		has := false
		for _, metric := range family.GetMetric() {
			for _, l := range metric.GetLabel() {
				has = has || parts != nil && l.GetName() == parts[1] && (parts[2] == "=~" || l.GetValue() == parts[3])
			}
		}
		if !has {
			t.Errorf("no metric %s with %s", name, m)
		}
	}
}
