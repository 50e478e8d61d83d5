package canvas

// ParseLinks is for the fuzz test.
var ParseLinks = parseLinks

// RouteOf is for the tests of telemetry.
var RouteOf = routeOf
