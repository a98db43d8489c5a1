package diff

func (c *comparer) compareLayouts() {}
