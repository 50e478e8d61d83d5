package canvas

// RouteOf is for the tests of telemetry.
var RouteOf = routeOf
