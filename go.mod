module lpatch

go 1.26
