package calib

import (
	"fmt"
	"strings"
)

// Method is a way to choose codes with a calibration.
type Method struct {
	Name, Doc string
	feedback  bool // columns make up for errors of those before them
}

// Methods lists what --method takes, the default first.
var Methods = []Method{
	{"gptq", "each input makes up for the errors of those before it", true},
	{"rtn", "the nearest code, of scales that lose least", false},
}

// FindMethod returns the method of a name, the default of "".
func FindMethod(name string) (*Method, error) {
	if name == "" {
		return &Methods[0], nil
	}
	for i := range Methods {
		if Methods[i].Name == name {
			return &Methods[i], nil
		}
	}
	return nil, fmt.Errorf("%q: there is no such method, there are %s", name, strings.Join(MethodNames(), ", "))
}

// MethodNames lists what FindMethod takes.
func MethodNames() []string {
	var names []string
	for _, m := range Methods {
		names = append(names, m.Name)
	}
	return names
}
