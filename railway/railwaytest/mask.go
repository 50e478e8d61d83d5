package railwaytest

// What a configuration shows of the values of variables.
const (
	sealedOnly = true  // all but sealed ones
	everything = false // none
)

// masked returns a configuration as it is shown: without the values of sealed
// variables, and with "*****" for all others unless decrypted.
func masked(t tree, decrypted bool) tree {
	hide := func(variables tree) tree {
		out := make(tree, len(variables))
		for name, value := range variables {
			v, ok := value.(tree)
			if !ok {
				out[name] = value
				continue
			}
			v = stacked(v, nil)
			switch _, sealed, _ := variable(variables, name); {
			case sealed:
				v["value"] = nil
			case !decrypted:
				v["value"] = "*****"
			}
			out[name] = v
		}
		return out
	}
	out := stacked(t, nil)
	if shared, ok := t["sharedVariables"].(tree); ok {
		out["sharedVariables"] = hide(shared)
	}
	if services, ok := t["services"].(tree); ok {
		shown := make(tree, len(services))
		for id, value := range services {
			shown[id] = value
			if settings, ok := value.(tree); ok && settings["variables"] != nil {
				v := stacked(settings, nil)
				v["variables"] = hide(child(settings, "variables"))
				shown[id] = v
			}
		}
		out["services"] = shown
	}
	return out
}
