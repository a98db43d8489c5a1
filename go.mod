module lpatch

go 1.26.0

require (
	github.com/cavaliergopher/cpio v1.0.1 // indirect
	go.yaml.in/yaml/v3 v3.0.6 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
