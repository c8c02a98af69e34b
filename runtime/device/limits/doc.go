// Package limits owns what every device asks of a launch and of a step: the defaults of settings, and the check of every index of a
// step, which stands between a mistake of the scheduler and another request's data.
package limits
