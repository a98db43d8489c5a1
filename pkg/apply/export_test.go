package apply

// Bounds that tests change.
var (
	MaxLook   = &maxLook
	MaxHashed = &maxHashed
)
