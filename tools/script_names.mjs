// Writes the names that a script of JavaScript or TypeScript has without an import, one line, to standard output:
//   node tools/script_names.mjs > lsp_server/code/script_names.txt
// They are what the running Node has: globals, their members, those of their prototypes, and of what it gives to modules.

const WORDS = `
abstract any arguments as asserts async await bigint boolean break case catch class const constructor continue debugger
declare default delete do else enum export extends false finally for from function get global if implements import in
infer instanceof interface is keyof let namespace never new null number object of out override private protected public
readonly require return satisfies set static string super switch symbol this throw true try type typeof undefined unique
unknown using var void while with yield
Awaited Capitalize ConstructorParameters Exclude Extract InstanceType Lowercase NonNullable Omit OmitThisParameter
Parameters Partial Pick Readonly ReadonlyArray ReadonlyMap ReadonlySet Record Required ReturnType ThisType Uncapitalize
Uppercase ArrayLike PromiseLike Iterable IterableIterator AsyncIterable JSX React NodeJS
module exports __dirname __filename
activeElement addEventListener alert append appendChild assign attributes blur body cancelAnimationFrame checked
childNodes children classList className click clientHeight clientWidth clientX clientY cloneNode closest contains
createElement createTextNode currentTarget cursor dataset defaultPrevented dispatchEvent disabled document
documentElement draggable Element Event firstChild focus form getAttribute getBoundingClientRect getComputedStyle
getContext getElementById getElementsByClassName getItem hasAttribute hash head height hidden history host hostname href
HTMLElement HTMLInputElement id innerHeight innerHTML innerText innerWidth insertBefore KeyboardEvent lastChild
localStorage location MouseEvent navigator nextSibling Node offsetHeight offsetWidth onblur onchange onclick onload
onsubmit outerHTML parentElement parentNode pathname pop port preventDefault previousSibling protocol pushState
querySelector querySelectorAll reload remove removeAttribute removeChild removeEventListener removeItem replaceChild
replaceState requestAnimationFrame rows screen scroll scrollIntoView scrollTo scrollTop selected sessionStorage
setAttribute setItem stopPropagation style submit tagName target textContent title toggle userAgent value visibility
width window
`;

const names = new Set(WORDS.split(/\s+/));

function add(object, depth) {
  if (object === null || !["object", "function"].includes(typeof object)) return;
  for (const name of Object.getOwnPropertyNames(object)) {
    if (!/^[A-Za-z$_][\w$]*$/.test(name) || name.startsWith("_")) continue;
    names.add(name);
    if (depth === 0) continue;
    const { value } = Object.getOwnPropertyDescriptor(object, name);
    add(value, depth - 1);
    add(value?.prototype, 0);
  }
}

add(globalThis, 1);
for (const one of [[], "", 0, true, new Map(), new Set(), Promise.resolve(), /a/, [][Symbol.iterator](), (function* () {})()]) {
  for (let at = Object.getPrototypeOf(one); at !== null; at = Object.getPrototypeOf(at)) add(at, 0);
}
add(process, 0);
process.stdout.write([...names].filter(Boolean).sort().join(" ") + "\n");
