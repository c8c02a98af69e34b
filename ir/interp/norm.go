package interp

import "math"

// normalize returns x / sqrt(mean(x^2) + eps) * w over groups of len(w) columns.
func normalize(x Tensor, w []float32, eps float64) Tensor {
	y := newTensor(x.Rows, x.Cols)
	for at := 0; at < len(x.Data); at += len(w) {
		group := x.Data[at : at+len(w)]
		sum := 0.0
		for _, v := range group {
			sum += float64(v) * float64(v)
		}
		inverse := 1 / math.Sqrt(sum/float64(len(w))+eps)
		for i, v := range group {
			y.Data[at+i] = float32(float64(v) * inverse * float64(w[i]))
		}
	}
	return y
}

func (c *call) rmsnorm() error {
	w, err := c.weight("w")
	if err != nil {
		return err
	}
	y := normalize(c.arg("x"), w.Data, c.op.Float("eps"))
	c.give(y)
	return c.round(y.Data, c.op.Results[0].Type.DType)
}

func (c *call) addRMSNorm() error {
	w, err := c.weight("w")
	if err != nil {
		return err
	}
	if err := c.sum(); err != nil {
		return err
	}
	y := normalize(c.out[0], w.Data, c.op.Float("eps"))
	c.give(y)
	return c.round(y.Data, c.op.Results[1].Type.DType)
}

// sum gives x + delta.
func (c *call) sum() error {
	return c.pairs("x", "delta", func(a, b float64) float64 { return a + b })
}

// center returns (x - mean) / sqrt(variance + eps) * w + bias of each row.
func (c *call) center(x Tensor) (Tensor, error) {
	w, err := c.weight("w")
	if err != nil {
		return Tensor{}, err
	}
	bias, err := c.bias(x.Cols)
	if err != nil {
		return Tensor{}, err
	}
	y := newTensor(x.Rows, x.Cols)
	for m := range x.Rows {
		mean, squares := 0.0, 0.0
		for _, v := range x.Row(m) {
			mean += float64(v) / float64(x.Cols)
		}
		for _, v := range x.Row(m) {
			squares += (float64(v) - mean) * (float64(v) - mean)
		}
		inverse := 1 / math.Sqrt(squares/float64(x.Cols)+c.op.Float("eps"))
		for i, v := range x.Row(m) {
			y.Row(m)[i] = float32((float64(v)-mean)*inverse*float64(w.Data[i]) + float64(bias[i]))
		}
	}
	return y, nil
}

func (c *call) layerNorm() error {
	y, err := c.center(c.arg("x"))
	if err != nil {
		return err
	}
	c.give(y)
	return c.round(y.Data, c.op.Results[0].Type.DType)
}

func (c *call) addLayerNorm() error {
	if err := c.sum(); err != nil {
		return err
	}
	y, err := c.center(c.out[0])
	if err != nil {
		return err
	}
	c.give(y)
	return c.round(y.Data, c.op.Results[1].Type.DType)
}
