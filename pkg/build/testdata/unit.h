struct pair { long a, b; };
typedef int (*callback_t)(int);

extern __thread int tls_public;
extern int public_counter, other_public;
extern callback_t callback;
extern FILE *out, **input;
extern void *(*allocate)(size_t);

int same(int x);
int changed_body(int x);
const char *last_text(void);
int changed_switch(int x);
int changed_cold(int x);
int changed_identity(void);
int changed_imports(int x);
struct pair changed_struct(struct pair p, const double *v, int n);
int *address_of_counter(void);
int private_tls(void);
int getenv_present(void);
int *get_other(void);
int other_function(int x);
callback_t callback_of_other(void);
void run(FILE *f);
