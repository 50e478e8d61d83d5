package redisnonce

// Judge reads the answer to INFO, for tests.
var Judge = judge
