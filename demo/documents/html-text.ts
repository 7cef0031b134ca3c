const SKIPPED = "script, style, title, noscript, template, svg, iframe, object";
const BLOCKS =
  /^(address|article|aside|blockquote|body|dd|details|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]|header|hr|li|main|nav|ol|p|pre|section|summary|table|tr|ul)$/;

/**
 * The words of a page, a line per block, cells of a table side by side. What a template holds is inert: nothing of it
 * runs, is fetched or is styled, and this page's content security policy has nothing to refuse.
 */
export function htmlText(html: string): string {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const element of template.content.querySelectorAll(SKIPPED)) element.remove();
  const parts: string[] = [];
  collect(template.content, parts);
  return parts
    .join("")
    .replace(/[ \t\u00a0]+/g, " ")
    .replace(/ ?\n ?/g, "\n")
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

/** Without recursion: a hostile page nests deeper than a stack. */
function collect(root: Node, parts: string[]): void {
  const stack = [{ node: root, leaving: false, pre: false }];
  for (let step = stack.pop(); step !== undefined; step = stack.pop()) {
    const { node, leaving, pre } = step;
    const name = node.nodeName.toLowerCase();
    if (node.nodeType === Node.TEXT_NODE) {
      const text = node.nodeValue ?? "";
      parts.push(pre ? text : text.replace(/\s+/g, " "));
    } else if (name === "br") parts.push("\n");
    else if (leaving) parts.push(endOf(name));
    else {
      parts.push(beginOf(name));
      stack.push({ node, leaving: true, pre });
      const inside = pre || name === "pre";
      for (let child = node.lastChild; child !== null; child = child.previousSibling)
        stack.push({ node: child, leaving: false, pre: inside });
    }
  }
}

function beginOf(name: string): string {
  if (name === "li") return "\n- ";
  return BLOCKS.test(name) ? "\n" : "";
}

function endOf(name: string): string {
  if (/^(p|h[1-6]|table|ul|ol|pre|blockquote)$/.test(name)) return "\n\n";
  if (name === "td" || name === "th") return " | ";
  return BLOCKS.test(name) ? "\n" : "";
}
