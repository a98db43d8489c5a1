// SPDX-License-Identifier: GPL-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
)

const kernelLicense = "GPL-2.0"

// renderHeader makes what the module's own files see of the family's tables.
func renderHeader(s *spec) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(banner(kernelLicense, "/*"))
	guard := upper("_"+s.Name, "nl-gen-h")
	fmt.Fprintf(&b, "#ifndef %s\n#define %s\n\n", guard, guard)
	fmt.Fprintf(&b, "#include <net/netlink.h>\n#include <net/genetlink.h>\n\n#include \"uapi/%s.h\"\n\n", s.Name)
	for _, t := range s.requestSets() {
		fmt.Fprintf(&b, "extern const struct nla_policy %s[%s + 1];\n", s.policyName(t.Name), s.attrName(t, "max"))
	}
	b.WriteString("\n")
	count := 0
	for _, o := range s.Operations.List {
		name := snake(s.Name, "nl", o.Name)
		if o.Do != nil {
			fmt.Fprintf(&b, "int %s_doit(struct sk_buff *skb, struct genl_info *info);\n", name)
			count++
		}
		if o.Dump != nil {
			fmt.Fprintf(&b, "int %s_start(struct netlink_callback *cb);\n", name)
			fmt.Fprintf(&b, "int %s_dumpit(struct sk_buff *skb, struct netlink_callback *cb);\n", name)
			count++
		}
	}
	ops := snake(s.Name, "nl-ops")
	fmt.Fprintf(&b, "\n#define %s\t%d\nextern const struct genl_ops %s[%s];\n\n",
		upper(s.Name, "nl-ops-count"), count, ops, upper(s.Name, "nl-ops-count"))
	b.WriteString("enum {\n")
	for _, g := range s.Groups.List {
		fmt.Fprintf(&b, "\t%s,\n", upper(s.Name, "nlgrp", g.Name))
	}
	fmt.Fprintf(&b, "\t%s\n};\n\n", upper(s.Name, "nlgrp-count"))
	fmt.Fprintf(&b, "extern const struct genl_multicast_group %s[%s];\n\n",
		snake(s.Name, "nl-mcgrps"), upper(s.Name, "nlgrp-count"))
	fmt.Fprintf(&b, "#endif /* %s */\n", guard)
	return b.Bytes(), nil
}

// renderSource makes the policies and the tables of operations and groups.
func renderSource(s *spec) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(banner(kernelLicense, "//"))
	b.WriteString("#include \"nl_gen.h\"\n\n")
	for _, t := range s.requestSets() {
		fmt.Fprintf(&b, "/* %s */\n", comment(or(t.Doc, t.Name)))
		s.policy(&b, "", t, s.policyName(t.Name), t.names())
	}
	for _, o := range s.Operations.List {
		if o.Notify != "" {
			continue
		}
		fmt.Fprintf(&b, "/* %s: the request */\n", s.cmdName(o.Name))
		s.policy(&b, "static ", s.set(o.Set), s.policyName(o.Name), o.request())
	}
	fmt.Fprintf(&b, "const struct genl_ops %s[%s] = {\n", snake(s.Name, "nl-ops"), upper(s.Name, "nl-ops-count"))
	for _, o := range s.Operations.List {
		s.genlOps(&b, o)
	}
	b.WriteString("};\n\n")
	fmt.Fprintf(&b, "const struct genl_multicast_group %s[%s] = {\n",
		snake(s.Name, "nl-mcgrps"), upper(s.Name, "nlgrp-count"))
	for _, g := range s.Groups.List {
		fmt.Fprintf(&b, "\t[%s] = { .name = %s%s },\n", upper(s.Name, "nlgrp", g.Name), upper(s.Name, "mcgrp", g.Name), g.cFlags())
	}
	b.WriteString("};\n")
	return b.Bytes(), nil
}

// cFlags is the initializer of the group's flags, if it has any.
func (g group) cFlags() string {
	var names []string
	for _, f := range g.Flags {
		names = append(names, groupFlags[f])
	}
	if len(names) == 0 {
		return ""
	}
	return ", .flags = " + strings.Join(names, " | ")
}

func (s *spec) policyName(of string) string { return snake(s.Name, of, "nl-policy") }

// policy writes a table for a whole set, in which all attributes that are not named are unsupported: the strict parser
// refuses them. Its size lets code look up any attribute of the set in the result, whatever the command.
func (s *spec) policy(b *bytes.Buffer, storage string, t *set, name string, attrs []string) {
	fmt.Fprintf(b, "%sconst struct nla_policy %s[%s + 1] = {\n", storage, name, s.attrName(t, "max"))
	for _, n := range attrs {
		if a := t.attribute(n); a.Type != "pad" {
			fmt.Fprintf(b, "\t[%s] = %s,\n", s.attrName(t, n), s.rule(*a))
		}
	}
	b.WriteString("};\n\n")
}

// rule is the policy of one attribute.
func (s *spec) rule(a attribute) string {
	nlType := upper("nla", a.Type)
	switch {
	case a.Nested != "":
		return fmt.Sprintf("NLA_POLICY_NESTED(%s)", s.policyName(a.Nested))
	case a.Struct != "":
		return fmt.Sprintf("NLA_POLICY_MIN_LEN(sizeof(struct %s))", snake(s.Name, a.Struct))
	case a.Checks.FlagsMask != "":
		bits := s.definition(a.Checks.FlagsMask, "flags").Entries
		return fmt.Sprintf("NLA_POLICY_MASK(%s, %#x)", nlType, 1<<len(bits)-1)
	case a.Enum != "":
		entries := s.definition(a.Enum, "enum").Entries
		return fmt.Sprintf("NLA_POLICY_MAX(%s, %s)", nlType, upper(s.Name, a.Enum, entries[len(entries)-1].Name))
	case a.Checks.ExactLen != "":
		return fmt.Sprintf("NLA_POLICY_EXACT_LEN(%s)", upper(s.Name, a.Checks.ExactLen))
	case a.Type == "string" && a.Checks.MaxLen != "":
		return fmt.Sprintf("{ .type = NLA_NUL_STRING, .len = %s }", upper(s.Name, a.Checks.MaxLen))
	case a.Type == "string":
		return "{ .type = NLA_NUL_STRING }"
	case a.Checks.MaxLen != "":
		return fmt.Sprintf("{ .type = NLA_BINARY, .len = %s }", upper(s.Name, a.Checks.MaxLen))
	}
	return fmt.Sprintf("{ .type = %s }", nlType)
}

// genlOps writes an operation's entry. 6.1 has no split ops, so do and dump share it. Permissions are the module's own
// check: GENL_ADMIN_PERM would only ask for CAP_NET_ADMIN.
func (s *spec) genlOps(b *bytes.Buffer, o operation) {
	if o.Notify != "" {
		return
	}
	name := snake(s.Name, "nl", o.Name)
	fmt.Fprintf(b, "\t{\n\t\t.cmd = %s,\n", s.cmdName(o.Name))
	if o.Do != nil {
		fmt.Fprintf(b, "\t\t.doit = %s_doit,\n", name)
	}
	if o.Dump != nil {
		fmt.Fprintf(b, "\t\t.start = %s_start,\n\t\t.dumpit = %s_dumpit,\n", name, name)
	}
	fmt.Fprintf(b, "\t\t.policy = %s,\n\t\t.maxattr = %s,\n\t},\n", s.policyName(o.Name), s.attrName(s.set(o.Set), "max"))
}
