package schedule

import "github.com/go-co-op/gocron/v2"

// Definition is what gocron is told of a schedule.
func Definition(s Schedule) gocron.JobDefinition { return s.definition() }
