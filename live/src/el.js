// An element with its properties, its attributes for screen readers, and its children.
export function el(tag, { aria = {}, ...props } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props)
  for (const k in aria) node.setAttribute(k, aria[k])
  node.append(...children)
  return node
}
