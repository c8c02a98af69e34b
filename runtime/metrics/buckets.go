package metrics

// Upper bounds of histogram buckets, vLLM's. Times are in seconds.
var (
	firstTokenBuckets = []float64{
		.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160, 640, 2560,
	}
	nextTokenBuckets = []float64{
		.01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80,
	}
	requestBuckets = []float64{
		.3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680,
	}
	stepTokenBuckets = []float64{1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384}
	choiceBuckets    = []float64{1, 2, 5, 10, 20}
)

// Those of our own metrics. The host's time of a step is microseconds, the device's milliseconds.
var (
	hostBuckets     = []float64{1e-7, 3e-7, 1e-6, 3e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 3e-3, .01, .03, .1, 1}
	deviceBuckets   = []float64{1e-4, 3e-4, .001, .002, .005, .01, .02, .035, .05, .075, .1, .15, .2, .3, .5, 1, 2, 5, 15, 60}
	sequenceBuckets = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

// lengthBuckets returns 1, 2, 5, 10, 20, 50, ... up to the longest sequence of a model.
func lengthBuckets(longest int) []float64 {
	bounds := []float64{1}
	for scale := 1; ; scale *= 10 {
		for _, mantissa := range []int{2, 5, 10} {
			bound := mantissa * scale
			if bound > longest {
				return bounds
			}
			bounds = append(bounds, float64(bound))
		}
	}
}
