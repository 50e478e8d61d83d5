package nrps_test

import "go.acu.edu.au/runbook/lti/internal/servicetest"

type platform = servicetest.Platform

var newService = servicetest.NewService
