# All that can be done here: `make help`. The logic is in scripts/.
KERNELS ?=
V ?=
export V

.PHONY: all
all: lpctl kmod		## build lpctl, and lpatch.ko for all kernels (KERNELS="6.1 …" for some)

.PHONY: lpctl
lpctl:			## build build/lpctl
	@scripts/go-build build/lpctl ./ctl/lpctl

.PHONY: kmod
kmod:			## build build/kmod/RELEASE/lpatch.ko for all kernels (or KERNELS)
	@scripts/build-kmod $(KERNELS)

.PHONY: help
help:			## this text
	@sed -n 's/^\([a-z-]*\):.*##/  make \1\t/p' Makefile
