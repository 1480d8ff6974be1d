// The few texts that stand in an answer itself.

const ENGLISH = {
  copy: "Copy",
  copied: "Copied",
  openImage: (name: string, host: string) => `Open image${name && ` “${name}”`} from ${host}`,
};

const CHINESE: typeof ENGLISH = {
  copy: "复制",
  copied: "已复制",
  openImage: (name, host) => `打开来自 ${host} 的图片${name && `“${name}”`}`,
};

/** In the page's language as it is now. */
export const words = (): typeof ENGLISH => (document.documentElement.lang.startsWith("zh") ? CHINESE : ENGLISH);
